//! Warps of CUDA C++ together: shuffles, votes, barriers, and blocks that hand data over. Needs NVRTC.

// Lanes are numbers here.
#![allow(clippy::needless_range_loop)]

mod rig;

use half::f16;
use rig::{Rig, shape};

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn shuffles_of_every_width() {
    let mut d = Rig::cuda(
        "extern \"C\" __global__ void k(int*o,int w,int n){ int t=threadIdx.x; int v=t*3+1; o[t*4]=__shfl_sync(~0u,v,n,w); o[t*4+1]=__shfl_up_sync(~0u,v,n,w); o[t*4+2]=__shfl_down_sync(~0u,v,n,w); o[t*4+3]=__shfl_xor_sync(~0u,v,n,w); }",
    );
    let o = d.empty(512);
    for w in [1i32, 2, 4, 8, 16, 32] {
        for n in [0i32, 1, 2, 3, 7, 15, 16, 31] {
            d.ok(shape(1, 32), &[o, w as u64, n as u64]);
            let got: Vec<i32> = d.read(o, 128);
            for t in 0..32i32 {
                let base = t / w * w;
                let v = |l: i32| l * 3 + 1;
                let idx = v(base + n % w);
                let up = if t - n >= base { v(t - n) } else { v(t) };
                let down = if t + n < base + w { v(t + n) } else { v(t) };
                // xor may reach earlier groups, not later ones.
                let x = t ^ n;
                let xor = if x < base + w { v(x) } else { v(t) };
                assert_eq!(
                    got[4 * t as usize..][..4],
                    [idx, up, down, xor],
                    "w {w} n {n} t {t}"
                );
            }
        }
    }
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn shuffles_of_doubles_and_halves() {
    let mut d = Rig::cuda(
        "#include <cuda_fp16.h>\nextern \"C\" __global__ void k(double*o,unsigned short*h){ int t=threadIdx.x; double v=t/3.0; o[t]=__shfl_xor_sync(~0u,v,5); __half x=__int2half_rn(t); h[t]=__half_as_ushort(__shfl_down_sync(~0u,x,1)); }",
    );
    let (o, h) = (d.empty(256), d.empty(64));
    d.ok(shape(1, 32), &[o, h]);
    let got: Vec<f64> = d.read(o, 32);
    let hs: Vec<u16> = d.read(h, 32);
    for t in 0..32usize {
        assert_eq!(got[t], (t ^ 5) as f64 / 3.0);
        assert_eq!(hs[t], f16::from_f32((t + 1).min(31) as f32).to_bits());
    }
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn votes_in_branches_and_partial_warps() {
    let mut d = Rig::cuda(
        "extern \"C\" __global__ void k(unsigned*o){ int t=threadIdx.x; unsigned m=__ballot_sync(t<32?~0u:0xff,t%3==0); unsigned r=0; if(t%3==0){ unsigned a=__activemask(); r=__ballot_sync(m,t&1); r^= __any_sync(m,t==3)<<31; if(__popc(a)!=__popc(m)) r=0xdead; } else r=m; o[t]=r; }",
    );
    let o = d.empty(160);
    d.ok(shape(1, 40), &[o]);
    let got: Vec<u32> = d.read(o, 40);
    for t in 0..40usize {
        let base = t / 32 * 32;
        let n = if base == 0 { 32 } else { 8 };
        let m = (0..n)
            .filter(|l| (base + l) % 3 == 0)
            .fold(0u32, |m, l| m | 1 << l);
        let odd = (0..n)
            .filter(|l| (base + l) % 3 == 0 && (base + l) % 2 == 1)
            .fold(0u32, |m, l| m | 1 << l);
        let expected = if t % 3 == 0 {
            odd ^ u32::from(base == 0) << 31
        } else {
            m
        };
        assert_eq!(got[t], expected, "{t}");
    }
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn groups_of_equal_keys_reduce_each_on_its_own() {
    // The usual aggregation: each group of equal keys reduces with its own mask, converged or not.
    let mut d = Rig::cuda(
        "extern \"C\" __global__ void k(unsigned*o){ int t=threadIdx.x; unsigned m=__match_any_sync(~0u,t%3); o[t]=__reduce_add_sync(m,t); }",
    );
    let o = d.empty(128);
    d.ok(shape(1, 32), &[o]);
    let got: Vec<u32> = d.read(o, 32);
    for t in 0..32 {
        assert_eq!(
            got[t],
            (0..32).filter(|l| l % 3 == t % 3).sum::<usize>() as u32,
            "lane {t}"
        );
    }
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn half_warps_vote_each_on_its_own() {
    let mut d = Rig::cuda(
        "extern \"C\" __global__ void k(unsigned*o){ int t=threadIdx.x; unsigned m = t<16?0xffffu:0xffff0000u; o[t*3]=__ballot_sync(m,t&1); o[t*3+1]=__any_sync(m,t==3); o[t*3+2]=__all_sync(m,t<16); }",
    );
    let o = d.empty(384);
    d.ok(shape(1, 32), &[o]);
    let got: Vec<u32> = d.read(o, 96);
    for t in 0..32usize {
        let expected = if t < 16 {
            [0xaaaa, 1, 1]
        } else {
            [0xaaaa_0000, 0, 0]
        };
        assert_eq!(got[3 * t..][..3], expected, "lane {t}");
    }
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn half_warps_match_each_on_its_own() {
    let mut d = Rig::cuda(
        "extern \"C\" __global__ void k(unsigned*o){ int t=threadIdx.x; unsigned m = t<16?0xffffu:0xffff0000u; int p; o[t*3]=__match_any_sync(m,t&1); o[t*3+1]=__match_all_sync(m,t/16,&p); o[t*3+2]=p; }",
    );
    let o = d.empty(384);
    d.ok(shape(1, 32), &[o]);
    let got: Vec<u32> = d.read(o, 96);
    for t in 0..32usize {
        let m: u32 = if t < 16 { 0xffff } else { 0xffff_0000 };
        let odd: u32 = if t % 2 == 1 { 0xaaaa_aaaa } else { 0x5555_5555 };
        assert_eq!(got[3 * t..][..3], [m & odd, m, 1], "lane {t}");
    }
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn half_warps_that_arrive_in_pieces() {
    // Lanes of two groups reach one shuffle by different ways; each group is complete on its own.
    let mut d = Rig::cuda(
        "extern \"C\" __global__ void k(unsigned*o,int n){ int t=threadIdx.x; unsigned m = t<16?0xffffu:0xffff0000u; unsigned v=t; for(int i=0;i<(t&7)*n;i++) v=v*3+1; unsigned s=__reduce_add_sync(m,t); for(int i=0;i<(t&3)*n;i++) v^=v<<1; o[t]=s+__reduce_max_sync(m,t)+(v&0); }",
    );
    let o = d.empty(128);
    d.ok(shape(1, 32), &[o, 3]);
    let got: Vec<u32> = d.read(o, 32);
    for t in 0..32usize {
        assert_eq!(got[t], if t < 16 { 120 + 15 } else { 376 + 31 }, "lane {t}");
    }
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn tiles_of_cooperative_groups() {
    let mut d = Rig::cuda(
        "#include <cooperative_groups.h>\nnamespace cg=cooperative_groups; extern \"C\" __global__ void k(int*o){ auto b=cg::this_thread_block(); auto t=cg::tiled_partition<8>(b); int v=threadIdx.x; for(int i=t.size()/2;i>0;i/=2) v+=t.shfl_down(v,i); int r=t.shfl(v,0); b.sync(); unsigned q=t.ballot(threadIdx.x&1); o[threadIdx.x]=r*256+q; }",
    );
    let o = d.empty(256);
    d.ok(shape(1, 64), &[o]);
    let got: Vec<i32> = d.read(o, 64);
    for t in 0..64 {
        let b = t / 8 * 8;
        assert_eq!(
            got[t as usize],
            (b..b + 8).sum::<i32>() * 256 + 0xaa,
            "thread {t}"
        );
    }
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn coalesced_groups() {
    let mut d = Rig::cuda(
        "#include <cooperative_groups.h>\nnamespace cg=cooperative_groups; extern \"C\" __global__ void k(int*o,int*c){ int t=threadIdx.x; o[t]=-1; if(t%5==2){ auto g=cg::coalesced_threads(); int base; if(g.thread_rank()==0) base=atomicAdd(c,g.size()); o[t]=g.shfl(base,0)+g.thread_rank(); } }",
    );
    let (o, c) = (d.empty(256), d.upload(&[0i32]));
    d.ok(shape(1, 64), &[o, c]);
    let mut got: Vec<i32> = d
        .read::<i32>(o, 64)
        .into_iter()
        .filter(|v| *v >= 0)
        .collect();
    got.sort();
    assert_eq!(got, (0..13).collect::<Vec<_>>());
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn reductions_of_every_kind() {
    let mut d = Rig::cuda(
        "extern \"C\" __global__ void k(int*o){ int t=threadIdx.x; int s=(t*7919)%101-50; unsigned u=s; int r[8]={(int)__reduce_add_sync(~0u,u),__reduce_add_sync(~0u,s),__reduce_min_sync(~0u,s),(int)__reduce_min_sync(~0u,u),__reduce_max_sync(~0u,s),(int)__reduce_max_sync(~0u,u),(int)__reduce_and_sync(~0u,u),(int)(__reduce_or_sync(~0u,u&0xf0f)^__reduce_xor_sync(~0u,u))}; for(int i=0;i<8;i++) o[t*8+i]=r[i]; }",
    );
    let o = d.empty(1024);
    d.ok(shape(1, 32), &[o]);
    let s: Vec<i32> = (0..32).map(|t| (t * 7919) % 101 - 50).collect();
    let u: Vec<u32> = s.iter().map(|v| *v as u32).collect();
    let sum = s.iter().sum::<i32>();
    let e = [
        sum,
        sum,
        *s.iter().min().unwrap(),
        *u.iter().min().unwrap() as i32,
        *s.iter().max().unwrap(),
        *u.iter().max().unwrap() as i32,
        u.iter().fold(!0, |a, b| a & b) as i32,
        (u.iter().fold(0, |a, b| a | b & 0xf0f) ^ u.iter().fold(0, |a, b| a ^ b)) as i32,
    ];
    for row in d.read::<i32>(o, 256).chunks(8) {
        assert_eq!(row, e);
    }
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn barriers_that_count_and_vote() {
    let mut d = Rig::cuda(
        "extern \"C\" __global__ void k(int*o){ int t=threadIdx.x; int a=__syncthreads_count(t%3==0); int b=__syncthreads_and(t<90); int c=__syncthreads_or(t==77); int e=__syncthreads_and(t<1000); o[t]=a*8+b*4+c*2+e; }",
    );
    let o = d.empty(400);
    for seed in 0..4 {
        d.seed = seed;
        d.ok(shape(1, 100), &[o]);
        assert!(d.read::<i32>(o, 100).iter().all(|v| *v == 34 * 8 + 3));
    }
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn a_producer_and_a_consumer_with_named_barriers() {
    let mut d = Rig::cuda(
        "extern \"C\" __global__ void k(int*o,int n){ __shared__ int s[32]; int t=threadIdx.x&31; if(threadIdx.x<32){ for(int i=0;i<n;i++){ asm volatile(\"bar.sync 1, 64;\":::\"memory\"); s[t]=i*100+t; asm volatile(\"bar.arrive 2, 64;\":::\"memory\"); } } else { int acc=0; for(int i=0;i<n;i++){ asm volatile(\"bar.arrive 1, 64;\":::\"memory\"); asm volatile(\"bar.sync 2, 64;\":::\"memory\"); acc+=s[31-t]; } o[t]=acc; } }",
    );
    let o = d.empty(128);
    for seed in 0..16 {
        d.seed = seed;
        d.ok(shape(1, 64), &[o, 5]);
        for t in 0..32 {
            assert_eq!(d.read::<i32>(o, 32)[t], 1000 + 5 * (31 - t as i32));
        }
    }
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn a_named_barrier_for_each_pair_of_warps() {
    let mut d = Rig::cuda(
        "extern \"C\" __global__ void k(int*o){ __shared__ int s[256]; int t=threadIdx.x,g=t/64; int v=t; for(int i=0;i<3+g;i++){ s[t]=v; asm volatile(\"bar.sync %0, 64;\"::\"r\"(g+1):\"memory\"); v=s[t^63]+1; asm volatile(\"bar.sync %0, 64;\"::\"r\"(g+1):\"memory\"); } o[t]=v; }",
    );
    let o = d.empty(1024);
    for seed in 0..16 {
        d.seed = seed;
        d.ok(shape(1, 256), &[o]);
        for t in 0..256usize {
            let n = 3 + t / 64;
            let v = if n % 2 == 1 { t ^ 63 } else { t } + n;
            assert_eq!(d.read::<u32>(o, 256)[t], v as u32);
        }
    }
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn the_last_block_sums_what_the_others_hand_over() {
    let mut d = Rig::cuda(
        "extern \"C\" __global__ void k(const float*a,float*p,unsigned*c,float*o){ __shared__ float s[64]; __shared__ bool last; int t=threadIdx.x; s[t]=a[blockIdx.x*64+t]; __syncthreads(); for(int i=32;i>0;i/=2){ if(t<i) s[t]+=s[t+i]; __syncthreads(); } if(t==0){ p[blockIdx.x]=s[0]; __threadfence(); last=atomicAdd(c,1)==gridDim.x-1; } __syncthreads(); if(last&&t==0){ float r=0; for(int i=0;i<gridDim.x;i++) r+=((volatile float*)p)[i]; *o=r; } }",
    );
    let (a, p, c, o) = (
        d.upload(&[1f32; 64 * 40]),
        d.empty(160),
        d.upload(&[0u32]),
        d.empty(4),
    );
    d.ok(shape(40, 64), &[a, p, c, o]);
    assert_eq!(d.read::<f32>(o, 1), [2560.0]);
    // The same with the order in the atomic itself, as cuda::atomic_ref has it.
    let mut d = Rig::body(
        3,
        "mov.u32 %r1,%ctaid.x; mul.wide.u32 %rd4,%r1,4; add.s64 %rd5,%rd0,%rd4; st.global.u32 [%rd5],%r1; atom.global.acq_rel.gpu.add.u32 %r2,[%rd1],1; mov.u32 %r3,%nctaid.x; sub.u32 %r3,%r3,1; setp.ne.u32 %p1,%r2,%r3; @%p1 bra $e; mov.u32 %r5,0; mov.u32 %r6,0; $l: mul.wide.u32 %rd4,%r5,4; add.s64 %rd5,%rd0,%rd4; ld.global.u32 %r7,[%rd5]; add.u32 %r6,%r6,%r7; add.u32 %r5,%r5,1; setp.le.u32 %p2,%r5,%r3; @%p2 bra $l; st.global.u32 [%rd2],%r6; $e:",
    );
    let (p, c, o) = (d.empty(40), d.upload(&[0u32]), d.empty(4));
    d.ok(shape(10, 1), &[p, c, o]);
    assert_eq!(d.read::<u32>(o, 1), [45]);
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn a_warp_reduces_in_shared_memory() {
    let mut d = Rig::cuda(
        "extern \"C\" __global__ void k(int*o){ __shared__ int s[64]; int t=threadIdx.x,l=t&31; s[t]=t; __syncwarp(); for(int i=16;i>0;i/=2){ int v=s[t]+(l<i?s[t+i]:0); __syncwarp(); s[t]=v; __syncwarp(); } o[t]=s[t&~31]; }",
    );
    let o = d.empty(256);
    d.ok(shape(1, 64), &[o]);
    let got: Vec<i32> = d.read(o, 64);
    assert!((0..64).all(|t| got[t] == if t < 32 { 496 } else { 496 + 1024 }));
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn an_atomic_ref_hands_data_over() {
    let mut d = Rig::cuda(
        "#include <cuda/atomic>\nextern \"C\" __global__ void k(int*p,unsigned*c,int*o){ cuda::atomic_ref<unsigned,cuda::thread_scope_device> r(*c); p[blockIdx.x]=blockIdx.x; unsigned n=r.fetch_add(1,cuda::memory_order_acq_rel); if(n==gridDim.x-1){ int s=0; for(int i=0;i<gridDim.x;i++) s+=p[i]; *o=s; } }",
    );
    let (p, c, o) = (d.empty(40), d.upload(&[0u32]), d.empty(4));
    d.ok(shape(10, 1), &[p, c, o]);
    assert_eq!(d.read::<i32>(o, 1), [45]);
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn a_swap_loop_may_begin_with_a_plain_read() {
    // The programming guide's own way to make an atomic; NVIDIA's header does it for bf16 below 9.0.
    for source in [
        "#include <cuda_bf16.h>\nextern \"C\" __global__ void k(__nv_bfloat16*p){ atomicAdd(p,__float2bfloat16(1.0f)); }",
        "extern \"C\" __global__ void k(double*p){ unsigned long long*a=(unsigned long long*)p; unsigned long long old=*a,assumed; do { assumed=old; old=atomicCAS(a,assumed,__double_as_longlong(1.0+__longlong_as_double(assumed))); } while(assumed!=old); }",
    ] {
        let mut d = Rig::cuda(source);
        let a = d.upload(&[0u64]);
        d.ok(shape(2, 32), &[a]);
    }
}
