//! Mistakes in CUDA C++ are found in what the compiler makes of them. Needs NVRTC.

mod rig;

use rig::{Rig, Shape, shape};

const OUT: &str = "out-of-bounds";
const UNWRITTEN: &str = "never written";
const RACE: &str = "data race";

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn a_negative_index_into_shared_memory() {
    let d = Rig::cuda(
        "__shared__ int s[64]; extern \"C\" __global__ void k(int*o,int off){ s[threadIdx.x] = 1; __syncthreads(); s[(int)threadIdx.x - off] = 2; __syncthreads(); o[threadIdx.x]=s[threadIdx.x]; }",
    );
    let mut d = d;
    let o = d.empty(256);
    d.ok(shape(1, 64), &[o, 0]);
    d.faults(shape(1, 64), &[o, 1], OUT);
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn dynamic_shared_memory_does_not_reach_the_static() {
    let d = Rig::cuda(
        "__shared__ int s[64]; extern __shared__ int dyn[]; extern \"C\" __global__ void k(int off){ s[threadIdx.x] = 1; __syncthreads(); dyn[(int)threadIdx.x - off] = 2; }",
    );
    d.faults(
        Shape {
            shared: 256,
            ..shape(1, 64)
        },
        &[1],
        OUT,
    );
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn a_shared_index_far_past_the_end_does_not_reach_the_next_variable() {
    // a[64 + 16 + i] with a gap of 64 bytes lands in b.
    let d = Rig::cuda(
        "__shared__ int a[64]; __shared__ int b[64]; extern \"C\" __global__ void k(int*o,int off){ int t=threadIdx.x; a[t] = 1; b[t]=2; __syncthreads(); a[t+off] = 3; __syncthreads(); o[t]=b[t]+a[t]; }",
    );
    let mut d = d;
    let o = d.empty(256);
    d.faults(shape(1, 32), &[o, 64], OUT);
    d.faults(shape(1, 32), &[o, 80], OUT);
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn dynamic_shared_memory_without_any() {
    let d = Rig::cuda(
        "extern __shared__ int dyn[]; extern \"C\" __global__ void k(){ dyn[threadIdx.x] = 2; }",
    );
    d.faults(shape(1, 32), &[], OUT);
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn a_local_array_ends_with_its_last_byte() {
    let d = Rig::cuda(
        "extern \"C\" __global__ void k(int *out, int i){ int a[3]; a[0]=i; a[1]=i+1; a[2]=i+2; a[i]=5; out[threadIdx.x]=a[i-1]+a[i-2]; }",
    );
    let mut d = d;
    let out = d.empty(128);
    d.faults(shape(1, 32), &[out, 3], OUT);
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn a_negative_index_into_a_local_array() {
    let mut d = Rig::cuda(
        "extern \"C\" __global__ void k(int *out, int i){ int a[4]; for(int j=0;j<4;j++) a[j]=i*j; a[i]=5; out[threadIdx.x]=a[i+1]; }",
    );
    let out = d.empty(128);
    d.faults(shape(1, 32), &[out, -1i64 as u64], OUT);
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn an_index_past_a_constant() {
    let mut d = Rig::cuda(
        "__constant__ int c[8] = {1,2,3,4,5,6,7,8}; extern \"C\" __global__ void k(int*o,int n){ o[threadIdx.x]=c[threadIdx.x+n]; }",
    );
    let o = d.empty(128);
    d.ok(shape(1, 8), &[o, 0]);
    d.faults(shape(1, 8), &[o, 1], OUT);
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn a_cast_to_float4_that_is_not_aligned() {
    let mut d = Rig::cuda(
        "extern \"C\" __global__ void k(const float*a,float4*o,int off){ o[threadIdx.x]=*(const float4*)(a+threadIdx.x*4+off); }",
    );
    let (a, o) = (d.upload(&[0f32; 132]), d.empty(512));
    d.ok(shape(1, 32), &[a, o, 0]);
    d.faults(shape(1, 32), &[a, o, 1], "misaligned global read of 16");
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn an_element_of_a_local_array_never_written() {
    let mut d = Rig::cuda(
        "extern \"C\" __global__ void k(int *out, int i){ int a[8]; a[i]=1; a[i+1]=2; out[threadIdx.x]=a[(i+threadIdx.x)&7]; }",
    );
    let out = d.empty(128);
    d.faults(shape(1, 32), &[out, 0], UNWRITTEN);
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn what_the_block_before_wrote_does_not_count() {
    let mut d = Rig::cuda(
        "extern \"C\" __global__ void k(int *out, int i){ int a[8]; if (blockIdx.x==0) for(int j=0;j<8;j++) a[(j+i)&7]=j; out[blockIdx.x*blockDim.x+threadIdx.x]=a[(i+threadIdx.x)&7]; }",
    );
    let out = d.empty(256);
    let m = d.faults(shape(2, 32), &[out, 0], UNWRITTEN);
    assert!(m.contains("block (1, 0, 0)"), "{m}");
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn a_lane_reads_what_its_neighbour_writes() {
    let d = Rig::cuda(
        "__shared__ int s[32]; extern \"C\" __global__ void k(int*o){ int t=threadIdx.x; s[t]=t; o[t]=s[31-t]; }",
    );
    let mut d = d;
    let o = d.empty(128);
    d.faults(shape(1, 32), &[o], RACE);
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn a_loop_without_its_second_barrier() {
    let mut d = Rig::cuda(
        "extern \"C\" __global__ void k(const float*a,float*o,int n){ __shared__ float s[128]; int t=threadIdx.x; float acc=0; for(int i=0;i<n;i++){ s[t]=a[i*128+t]; __syncthreads(); for(int j=0;j<128;j++) acc+=s[j]; } o[t]=acc; }",
    );
    let (a, o) = (d.upload(&[1f32; 512]), d.empty(512));
    for seed in 0..8 {
        d.seed = seed;
        d.faults(shape(1, 128), &[a, o, 4], RACE);
    }
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn blocks_read_what_others_write() {
    let mut d = Rig::cuda(
        "extern \"C\" __global__ void k(float*a){ int i=blockIdx.x*blockDim.x+threadIdx.x; a[i]=a[i]+1; if(blockIdx.x) a[i-1]; float v = i? a[i-1]:0; a[i]+=v; }",
    );
    let a = d.upload(&[1f32; 256]);
    for seed in 0..8 {
        d.seed = seed;
        d.faults(shape(4, 64), &[a], RACE);
    }
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn a_shuffle_from_a_lane_that_is_not_there() {
    // 48 threads: warp 1 has 16 lanes; __shfl_down(…, 8) of lanes 8..15 reads lanes 16..23, which do not exist.
    let mut d = Rig::cuda(
        "extern \"C\" __global__ void k(int*o){ int t=threadIdx.x; int v=t+100; v+=__shfl_down_sync(0xffffffffu,v,8); o[t]=v; }",
    );
    let o = d.empty(4 * 48);
    let r = d.only(shape(1, 48), &[o]);
    assert!(
        r.is_err(),
        "a value of a lane that does not exist: {:?}",
        &d.read::<i32>(o, 48)[32..48]
    );
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn a_vote_of_all_in_a_branch() {
    let mut d = Rig::cuda(
        "extern \"C\" __global__ void k(int*o){ int t=threadIdx.x; if (t%3==0) o[t]=__ballot_sync(0xffffffffu, t&1); else o[t]=0; __syncwarp(); }",
    );
    let o = d.empty(128);
    d.faults(shape(1, 32), &[o], "divergent");
}
