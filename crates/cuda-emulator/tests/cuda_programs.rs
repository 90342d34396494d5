//! What CUDA C++ makes of branches, calls, structs, variables and atomics. Needs NVRTC.

mod rig;

use half::f16;
use rig::nvrtc::compile;
use rig::{Rig, Shape, shape};

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn loops_that_diverge_and_leave_in_every_way() {
    let source = "int F(int t,int n){ int acc=0; for(int i=0;i<n;i++){ if((i*t)%7==3) continue; if(acc>500+t) break; for(int j=0;j<i%5;j++){ if((j^t)&1) acc+=j*3; else if(j==t%4) { acc-=1; break; } else acc+=2; } switch((t+i)%9){ case 0: acc+=1; case 1: acc+=2; break; case 2: acc*=3; acc&=1023; break; case 3: if(t&1) goto out; break; case 4: acc^=t; break; case 5: acc+=7; break; case 6: acc-=4; break; default: acc+=11; } } out: return acc; }";
    let mut d = Rig::cuda(&format!(
        "__device__ {source} extern \"C\" __global__ void k(int*o,int n){{ o[threadIdx.x]=F(threadIdx.x,n); }}"
    ));
    let o = d.empty(400);
    d.ok(shape(1, 100), &[o, 60]);
    let f = |t: i32, n: i32| {
        let mut acc = 0i32;
        'o: for i in 0..n {
            if (i * t) % 7 == 3 {
                continue;
            }
            if acc > 500 + t {
                break;
            }
            for j in 0..i % 5 {
                if (j ^ t) & 1 != 0 {
                    acc += j * 3
                } else if j == t % 4 {
                    acc -= 1;
                    break;
                } else {
                    acc += 2
                }
            }
            match (t + i) % 9 {
                0 => acc += 3,
                1 => acc += 2,
                2 => {
                    acc *= 3;
                    acc &= 1023
                }
                3 => {
                    if t & 1 != 0 {
                        break 'o;
                    }
                }
                4 => acc ^= t,
                5 => acc += 7,
                6 => acc -= 4,
                _ => acc += 11,
            }
        }
        acc
    };
    assert_eq!(
        d.read::<i32>(o, 100),
        (0..100).map(|t| f(t, 60)).collect::<Vec<_>>()
    );
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn blocks_and_grids_of_three_dimensions() {
    let mut d = Rig::cuda(
        "extern \"C\" __global__ void k(unsigned*o){ unsigned b=blockIdx.x+gridDim.x*(blockIdx.y+gridDim.y*blockIdx.z); unsigned t=threadIdx.x+blockDim.x*(threadIdx.y+blockDim.y*threadIdx.z); o[b*blockDim.x*blockDim.y*blockDim.z+t]=b*1000000+blockIdx.z*100000+threadIdx.x*10000+threadIdx.y*100+threadIdx.z; }",
    );
    let o = d.empty(4 * 3 * 4 * 2 * 5 * 3 * 7);
    d.ok(
        Shape {
            grid: [3, 4, 2],
            block: [5, 3, 7],
            shared: 0,
        },
        &[o],
    );
    let got: Vec<u32> = d.read(o, 24 * 105);
    for b in 0..24u32 {
        for t in 0..105u32 {
            let e = b * 1000000 + b / 12 * 100000 + t % 5 * 10000 + t / 5 % 3 * 100 + t / 15;
            assert_eq!(got[(b * 105 + t) as usize], e);
        }
    }
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn calls_that_pass_and_return_structs() {
    let mut d = Rig::cuda(
        "struct S{int a; double b; char c; short e[3];}; __noinline__ __device__ S f(S s,int x){ s.a+=x; s.b*=2; s.c=x; for(int i=0;i<3;i++) s.e[i]+=i*x; return s; } __noinline__ __device__ int g(const S*s){ return s->a+(int)s->b+s->c+s->e[2]; } extern \"C\" __global__ void k(int*o){ int t=threadIdx.x; S s={t,t*0.5,1,{1,2,3}}; s=f(s,3); if(t&1) s=f(s,t); o[t]=g(&s); }",
    );
    let o = d.empty(128);
    d.ok(shape(1, 32), &[o]);
    let got: Vec<i32> = d.read(o, 32);
    for t in 0..32i32 {
        let (mut a, mut b, mut c, mut e) = (t + 3, f64::from(t), 3, 3 + 6);
        if t & 1 == 1 {
            a += t;
            b *= 2.0;
            c = t;
            e += 2 * t;
        }
        assert_eq!(got[t as usize], a + b as i32 + c + e, "{t}");
    }
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn variables_of_a_module() {
    let mut d = Rig::cuda(
        "__constant__ float c[4]={1.5f,-2,3e10f,4}; __device__ int g[3]={7,8,9}; __device__ const char *text=\"hey\"; __device__ double z; struct P{short a; int b; double c;}; __constant__ P ps[2]={{-1,2,3.5},{4,-5,6}}; extern \"C\" __global__ void k(double*o,int i){ static __device__ int calls=40; int t=threadIdx.x; if(t==0){ g[1]+=calls++; z=2.5; } __syncthreads(); o[t]=c[(t+i)&3]+g[t%3]+text[t%3]+z+ps[(t+i)&1].a+ps[t&1].b+ps[t&1].c; }",
    );
    let o = d.empty(64);
    d.ok(shape(1, 8), &[o, 1]);
    let got: Vec<f64> = d.read(o, 8);
    let c = [1.5, -2.0, 3e10f32 as f64, 4.0];
    for t in 0..8 {
        let e = (c[(t + 1) & 3] as f32 + [7f32, 48.0, 9.0][t % 3] + [104f32, 101.0, 121.0][t % 3])
            as f64;
        let e = e + 2.5 + [-1.0, 4.0][(t + 1) & 1] + [2.0, -5.0][t & 1] + [3.5, 6.0][t & 1];
        assert_eq!(got[t], e, "{t}");
    }
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn parameters_that_are_structs() {
    let mut d = Rig::cuda(
        "struct P{int n; float w[5]; long long q; unsigned char b[3];}; extern \"C\" __global__ void k(P p,double*o,short e){ int t=threadIdx.x; o[t]=p.w[t%5]+p.q+p.b[t%3]+p.n+e; }",
    );
    let o = d.empty(64);
    let w: Vec<u64> = [1.5f32, 2.5, 3.5, 4.5, 5.5]
        .iter()
        .map(|v| u64::from(v.to_bits()))
        .collect();
    let args = [
        7 | w[0] << 32,
        w[1] | w[2] << 32,
        w[3] | w[4] << 32,
        -1000i64 as u64,
        200 | 201 << 8 | 202 << 16,
        o,
        -3i16 as u16 as u64,
    ];
    d.ok(shape(1, 8), &args);
    for (t, v) in d.read::<f64>(o, 8).iter().enumerate() {
        let e = f64::from(
            [1.5f32, 2.5, 3.5, 4.5, 5.5][t % 5] - 1000.0 + [200f32, 201.0, 202.0][t % 3] + 7.0
                - 3.0,
        );
        assert_eq!(*v, e);
    }
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn small_types_in_memory() {
    let mut d = Rig::cuda(
        "extern \"C\" __global__ void k(const signed char*a,const unsigned short*b,uchar4*v,int*o,short2*h){ int t=threadIdx.x; int x=a[t]; unsigned y=b[t]; uchar4 q=v[t]; q.x+=200; q.w=-q.y; v[t]=q; h[t]=make_short2(x,-y); o[t]=x*1000+(int)y+(x>>1)+(signed char)(y)+(short)(y*3); }",
    );
    let a: Vec<i8> = (0..32).map(|i| (i * 9 - 128) as i8).collect();
    let b: Vec<u16> = (0..32).map(|i| (i * 2049) as u16).collect();
    let v: Vec<u8> = (0..128).map(|i| (i * 3) as u8).collect();
    let (pa, pb, pv, o, h) = (
        d.upload(&a),
        d.upload(&b),
        d.upload(&v),
        d.empty(128),
        d.empty(128),
    );
    d.ok(shape(1, 32), &[pa, pb, pv, o, h]);
    let (got, gv, gh) = (
        d.read::<i32>(o, 32),
        d.read::<u8>(pv, 128),
        d.read::<i16>(h, 64),
    );
    for t in 0..32 {
        let (x, y) = (i32::from(a[t]), u32::from(b[t]));
        assert_eq!(
            got[t],
            x * 1000 + y as i32 + (x >> 1) + i32::from(y as u8 as i8) + i32::from((y * 3) as i16)
        );
        assert_eq!(gv[4 * t], v[4 * t].wrapping_add(200));
        assert_eq!(gv[4 * t + 3], v[4 * t + 1].wrapping_neg());
        assert_eq!(gh[2 * t..][..2], [x as i16, (y as i16).wrapping_neg()]);
    }
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn atomics_of_each_type() {
    let mut d = Rig::cuda("#include <cuda_fp16.h>\n#include <cuda_bf16.h>\n typedef unsigned long long u64; struct A{ int a,s,mn,mx,x; unsigned ua,us,umn,umx,inc,dec,an,orr,xr; u64 la,lmn,lmx,lan,lor,lxr,lx; long long smn,smx; float f; double d; __half h[2]; __half2 h2; __nv_bfloat16 b[2]; __nv_bfloat162 b2; unsigned short c16; unsigned c32; u64 c64; float fx; };
    extern \"C\" __global__ void k(A*p){ int t=threadIdx.x; unsigned u=t*2654435761u; u64 l=(u64)u*2654435761u; atomicAdd(&p->a,t-5); atomicSub(&p->s,t); atomicMin(&p->mn,(int)u); atomicMax(&p->mx,(int)u); atomicExch(&p->x,77); atomicAdd(&p->ua,u); atomicSub(&p->us,u); atomicMin(&p->umn,u); atomicMax(&p->umx,u); atomicInc(&p->inc,10); atomicDec(&p->dec,10); atomicAnd(&p->an,u|0xff); atomicOr(&p->orr,u&0xf0f0f0); atomicXor(&p->xr,u); atomicAdd(&p->la,l); atomicMin(&p->lmn,l); atomicMax(&p->lmx,l); atomicAnd(&p->lan,l|0xff); atomicOr(&p->lor,l&0xf0f0f0f0f0); atomicXor(&p->lxr,l); atomicExch(&p->lx,99ull<<40); atomicMin(&p->smn,(long long)l); atomicMax(&p->smx,(long long)l); atomicAdd(&p->f,0.5f); atomicAdd(&p->d,0.25); atomicAdd(&p->h[1],__float2half(0.5f)); atomicAdd(&p->h2,__floats2half2_rn(1,2)); 
      unsigned short o16; do { o16=*(volatile unsigned short*)&p->c16; } while(atomicCAS(&p->c16,o16,(unsigned short)(o16+3))!=o16); unsigned o32; do { o32=*(volatile unsigned*)&p->c32; } while(atomicCAS(&p->c32,o32,o32+3)!=o32); u64 o64; do { o64=*(volatile u64*)&p->c64; } while(atomicCAS(&p->c64,o64,o64+(3ull<<33))!=o64); atomicExch(&p->fx,2.5f); }
    extern \"C\" __global__ void size(int*o){ o[0]=sizeof(A); o[1]=(int)(size_t)&((A*)0)->la; o[2]=(int)(size_t)&((A*)0)->f; o[3]=(int)(size_t)&((A*)0)->d; o[4]=(int)(size_t)&((A*)0)->h; o[5]=(int)(size_t)&((A*)0)->c16; o[6]=(int)(size_t)&((A*)0)->fx; }");
    let o = d.empty(28);
    d.launch("size", shape(1, 1), &[o]).unwrap();
    let at = d.read::<i32>(o, 7);
    let p = d.upload(&vec![0u8; at[0] as usize]);
    let region = d.memory.find(p, 1).unwrap();
    region.write(8, &i32::MAX.to_le_bytes());
    region.write(12, &i32::MIN.to_le_bytes());
    region.write(28, &u32::MAX.to_le_bytes());
    region.write(44, &u32::MAX.to_le_bytes());
    let la = at[1] as u64;
    region.write(la + 8, &u64::MAX.to_le_bytes());
    region.write(la + 24, &u64::MAX.to_le_bytes());
    region.write(la + 56, &i64::MAX.to_le_bytes());
    region.write(la + 64, &i64::MIN.to_le_bytes());
    let r = d.launch("k", shape(1, 64), &[p]);
    let bytes: Vec<u8> = d.read(p, at[0] as usize);
    let i = |o: usize| i32::from_le_bytes(bytes[o..o + 4].try_into().unwrap());
    let q = |o: usize| u64::from_le_bytes(bytes[o..o + 8].try_into().unwrap());
    let us: Vec<u32> = (0..64u32).map(|t| t.wrapping_mul(2654435761)).collect();
    let ls: Vec<u64> = us
        .iter()
        .map(|u| u64::from(*u).wrapping_mul(2654435761))
        .collect();
    let la = la as usize;
    assert_eq!(i(0), (0..64).map(|t| t - 5).sum::<i32>());
    assert_eq!(i(4), -(0..64).sum::<i32>());
    assert_eq!(i(8), us.iter().map(|u| *u as i32).min().unwrap());
    assert_eq!(i(12), us.iter().map(|u| *u as i32).max().unwrap());
    assert_eq!(i(16), 77);
    let sum = us.iter().fold(0u32, |a, b| a.wrapping_add(*b));
    assert_eq!(i(20) as u32, sum);
    assert_eq!(i(24) as u32, sum.wrapping_neg());
    assert_eq!(i(28) as u32, *us.iter().min().unwrap());
    assert_eq!(i(32) as u32, *us.iter().max().unwrap());
    assert_eq!(i(36), 64 % 11);
    assert_eq!(i(40), 11 - 64 % 11);
    assert_eq!(i(44) as u32, us.iter().fold(!0, |a, b| a & (b | 0xff)));
    assert_eq!(i(48) as u32, us.iter().fold(0, |a, b| a | b & 0xf0f0f0));
    assert_eq!(i(52) as u32, us.iter().fold(0, |a, b| a ^ b));
    assert_eq!(q(la), ls.iter().fold(0, |a: u64, b| a.wrapping_add(*b)));
    assert_eq!(q(la + 8), *ls.iter().min().unwrap());
    assert_eq!(q(la + 16), *ls.iter().max().unwrap());
    assert_eq!(q(la + 24), ls.iter().fold(!0, |a, b| a & (b | 0xff)));
    assert_eq!(q(la + 32), ls.iter().fold(0, |a, b| a | b & 0xf0f0f0f0f0));
    assert_eq!(q(la + 40), ls.iter().fold(0, |a, b| a ^ b));
    assert_eq!(q(la + 48), 99 << 40);
    assert_eq!(
        q(la + 56) as i64,
        ls.iter().map(|l| *l as i64).min().unwrap()
    );
    assert_eq!(
        q(la + 64) as i64,
        ls.iter().map(|l| *l as i64).max().unwrap()
    );
    assert_eq!(f32::from_bits(i(at[2] as usize) as u32), 32.0);
    assert_eq!(f64::from_bits(q(at[3] as usize)), 16.0);
    let h = at[4] as usize;
    assert_eq!(i(h) as u32 >> 16, u32::from(f16::from_f32(32.0).to_bits()));
    assert_eq!(
        i(h + 4) as u32,
        u32::from(f16::from_f32(64.0).to_bits()) | u32::from(f16::from_f32(128.0).to_bits()) << 16
    );
    r.unwrap();
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn atomics_of_sixteen_bits_in_shared_memory() {
    let mut d = Rig::cuda(
        "extern \"C\" __global__ void k(unsigned*o){ __shared__ unsigned short s[4]; __shared__ unsigned c; int t=threadIdx.x; if(t<4) s[t]=t; if(t==0) c=0; __syncthreads(); unsigned short old,seen=t&3; do { old=seen; seen=atomicCAS(&s[t&3],old,(unsigned short)(old+4)); } while(seen!=old); o[t]=old*1000+0*atomicAdd(&c,1u); __syncthreads(); if(t<4) o[t]=s[t]; }",
    );
    let o = d.empty(256);
    for seed in 0..8 {
        d.seed = seed;
        d.ok(shape(1, 64), &[o]);
        assert_eq!(d.read::<u32>(o, 4), [64, 65, 66, 67]);
    }
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn hints_to_caches_and_wide_vectors() {
    let mut d = Rig::new(&compile(
        "extern \"C\" __global__ void k(const float4*a,double2*o){ int t=threadIdx.x; float4 x=__ldg(a+t), y=__ldcs(a+t), z=__ldcg(a+t), w=__ldlu(a+t); double2 r=make_double2(x.x+y.y,z.z+w.w); __stcg(o+t,r); __stcs(o+t,r); __stwt(o+t,r); }",
        &[],
    ));
    let a: Vec<f32> = (0..128).map(|i| i as f32).collect();
    let (pa, o) = (d.upload(&a), d.empty(512));
    d.ok(shape(1, 32), &[pa, o]);
    assert_eq!(d.read::<f64>(o, 4), [1.0, 5.0, 9.0, 13.0]);
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn a_shared_index_with_a_negative_part() {
    let mut d = Rig::cuda(
        "extern \"C\" __global__ void k(float*o,int n){ __shared__ float s[128]; int t=threadIdx.x; s[t]=t; __syncthreads(); float acc=0; for(int i=t;i<t+n;i++) acc+=s[i-n+1 > 0 ? i-n+1 : 0]; for(int i=n;i<128;i++) acc+=s[i-n]*s[i]; o[t]=acc; }",
    );
    let o = d.empty(512);
    d.ok(shape(1, 128), &[o, 100]);
    d.ok(shape(1, 128), &[o, 3]);
}
