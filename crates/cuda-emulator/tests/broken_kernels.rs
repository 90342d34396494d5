//! Tandem's own kernels pass, and copies of them with one mistake are caught and named.
//!
//! The copies are made when the test runs, from `kernels/*.cu` by the edits that stand here, so they cannot fall
//! behind. That takes NVRTC: `scripts/test-cuda-emulated.sh` runs these tests, plain `cargo test` lists them as
//! ignored.

mod rig;

use cuda_emulator::checks::Fault;
use rig::Rig;
use rig::nvrtc::{Edit, kernel};

/// A launch: makes its buffers, and says the kernel, blocks, threads and arguments.
type Launch = fn(&mut Rig) -> (&'static str, u32, u32, Vec<u64>);

fn run(ptx: &str, launch: Launch, seed: u64) -> Result<(), Box<Fault>> {
    let mut rig = Rig::new(ptx);
    rig.seed = seed;
    let (name, blocks, threads, arguments) = launch(&mut rig);
    rig.run(name, blocks, threads, &arguments)
}

/// The kernel as it is passes; with the edits it is caught under every schedule. Gives the last report, after a
/// look at whether it names the kernel and an instruction that is an `opcode`.
fn caught(file: &str, edits: &[Edit], append: &str, launch: Launch, opcode: &str) -> Box<Fault> {
    let (whole, broken) = (kernel(file, &[], ""), kernel(file, edits, append));
    let name = launch(&mut Rig::new(&broken)).0;
    let mut last = None;
    for seed in 0..5 {
        if append.is_empty() {
            run(&whole, launch, seed).unwrap();
        }
        let fault = run(&broken, launch, seed).expect_err("the mistake must be caught");
        assert_eq!(fault.kernel, name);
        let line = broken.lines().nth(fault.line as usize - 1).unwrap();
        assert!(line.contains(opcode), "{fault}: {line}");
        last = Some(fault);
    }
    last.unwrap()
}

fn assert_starts(fault: &Fault, start: &str) {
    assert!(fault.to_string().starts_with(start), "{fault}");
}

/// Numbers that are all different.
fn upload(rig: &mut Rig, count: usize) -> u64 {
    let values: Vec<f32> = (0..count).map(|i| (i * 7 % 1009) as f32 - 500.0).collect();
    rig.upload(&values)
}

fn bits(value: f32) -> u64 {
    value.to_bits().into()
}

/// One picture, one group of 8 channels, 100 positions, in one chunk.
fn lrn_arguments(buffers: &[u64]) -> Vec<u64> {
    let sizes = [1, 1, 8, 100, 8, bits(2.0), bits(1e-4), bits(0.75)];
    [buffers, &sizes].concat()
}

fn lrn_forward(rig: &mut Rig) -> (&'static str, u32, u32, Vec<u64>) {
    let buffers = [upload(rig, 800), rig.empty(3200)];
    ("lrn_forward_five_f32", 1, 128, lrn_arguments(&buffers))
}

fn lrn_backward(rig: &mut Rig) -> (&'static str, u32, u32, Vec<u64>) {
    let buffers = [upload(rig, 800), upload(rig, 800), rig.empty(3200)];
    ("lrn_backward_five_f32", 1, 128, lrn_arguments(&buffers))
}

/// Two planes that the same threads visit, of 21 × 21, windows of 3 × 3 with stride 2 and no padding:
/// 10 × 10 outputs each.
const WINDOWS: [u64; 6] = [2, 1, 21, 21, 10, 10];

fn max_pool_forward(rig: &mut Rig) -> (&'static str, u32, u32, Vec<u64>) {
    let buffers = [upload(rig, 882), rig.empty(800), rig.empty(200)];
    let arguments = [&buffers[..], &WINDOWS].concat();
    ("max_pool_forward_three_by_two_f32", 1, 128, arguments)
}

fn max_pool_backward(rig: &mut Rig) -> (&'static str, u32, u32, Vec<u64>) {
    let winners = rig.upload(&[8u8; 200]);
    let buffers = [winners, upload(rig, 200), rig.empty(3528)];
    let arguments = [&buffers[..], &WINDOWS].concat();
    ("max_pool_backward_three_by_two_f32", 1, 256, arguments)
}

/// One picture, one group of 8 channels in one chunk, planes of 9 × 9, 4 × 4 outputs in two strips.
fn lrn_max_pool(rig: &mut Rig) -> (&'static str, u32, u32, Vec<u64>) {
    let buffers = [upload(rig, 648), rig.empty(512), rig.empty(128)];
    let sizes = [1, 8, 9, 9, 4, 4, 2, 8, bits(2.0), bits(1e-4)];
    let arguments = [&buffers[..], &sizes].concat();
    ("lrn_max_pool_forward_f32", 2, 64, arguments)
}

/// One picture of one plane of 5 × 5, a kernel of 3 × 3 with padding 1.
const CONVOLUTION: [u64; 12] = [1, 1, 5, 5, 5, 5, 3, 3, 1, 1, 1, 1];

fn unfold(rig: &mut Rig) -> (&'static str, u32, u32, Vec<u64>) {
    let buffers = [upload(rig, 25), rig.empty(900)];
    let arguments = [&buffers[..], &CONVOLUTION].concat();
    ("unfold_three_f32", 1, 32, arguments)
}

fn fold(rig: &mut Rig) -> (&'static str, u32, u32, Vec<u64>) {
    let buffers = [upload(rig, 225), rig.empty(100)];
    let arguments = [&buffers[..], &CONVOLUTION].concat();
    ("fold_three_f32", 1, 32, arguments)
}

/// Five pictures of two channels of ten values.
fn spread(rig: &mut Rig) -> (&'static str, u32, u32, Vec<u64>) {
    let buffers = [upload(rig, 100), upload(rig, 2), rig.empty(400)];
    let arguments = [&buffers[..], &[5, 2, 10, 50, 10, 1]].concat();
    ("bias_spread_f32", 2, 32, arguments)
}

/// Four rows of 200 classes.
fn softmax(rig: &mut Rig) -> (&'static str, u32, u32, Vec<u64>) {
    let arguments = vec![upload(rig, 800), rig.empty(3200), 4, 200];
    ("softmax_block_f32", 4, 128, arguments)
}

fn nll_rows(rig: &mut Rig) -> (&'static str, u32, u32, Vec<u64>) {
    let labels = rig.upload(&[3u32, 1, 4, 1]);
    let arguments = vec![upload(rig, 800), labels, rig.empty(16), 4, 200];
    ("nll_rows_block_f32", 4, 128, arguments)
}

/// Thirteen fours of values.
fn dropout(rig: &mut Rig) -> (&'static str, u32, u32, Vec<u64>) {
    let buffers = [upload(rig, 52), rig.empty(208)];
    let arguments = [&buffers[..], &[52, 52, 1, 2, 1 << 31, bits(2.0)]].concat();
    ("dropout_four_f32", 1, 32, arguments)
}

/// Seven fours of weights and as many velocities, as the end of a slab.
fn sgd(rig: &mut Rig) -> (&'static str, u32, u32, Vec<u64>) {
    let buffers = [upload(rig, 56), upload(rig, 28)];
    let numbers = [28, bits(0.01), bits(0.9), bits(5e-4)];
    let arguments = [&buffers[..], &numbers].concat();
    ("sgd_paper_four_f32", 1, 32, arguments)
}

/// One grey picture of 10 × 10, its lower right crop of 8 × 8 mirrored.
fn augment(rig: &mut Rig) -> (&'static str, u32, u32, Vec<u64>) {
    let pixels: Vec<u8> = (0..100).collect();
    let buffers = [
        rig.upload(&pixels),
        rig.upload(&[2u32, 2, 1]),
        upload(rig, 3),
        upload(rig, 100),
        rig.empty(256),
    ];
    let arguments = [&buffers[..], &[1, 1, 10, 1, 8]].concat();
    ("augment_mean_four_f32", 1, 32, arguments)
}

/// One plane of 7 × 7 into 3 × 3.
fn avg_pool(rig: &mut Rig) -> (&'static str, u32, u32, Vec<u64>) {
    let buffers = [upload(rig, 49), rig.empty(36)];
    let arguments = [&buffers[..], &[1, 7, 7, 3, 3]].concat();
    ("avg_pool_forward_three_by_two_f32", 1, 32, arguments)
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn lrn_without_its_bound() {
    // The first thread without a picture, 100, reads past the last channel of the one there is.
    let bound = ("w.inside = picture < pictures;", "w.inside = true;");
    let fault = caught("lrn", &[bound], "", lrn_forward, "ld.global");
    assert_starts(&fault, "out-of-bounds global read of 4 bytes");
    assert_eq!((fault.block, fault.thread), ([0, 0, 0], [100, 0, 0]));
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn lrn_with_a_window_one_channel_too_far() {
    let edit = (
        "static_cast<u32>(c + i) < static_cast<u32>(channels)) load",
        "static_cast<u32>(c + i) <= static_cast<u32>(channels)) load",
    );
    for launch in [lrn_forward, lrn_backward] {
        let fault = caught("lrn", &[edit], "", launch, "ld.global");
        assert_starts(&fault, "out-of-bounds global read of 4 bytes");
    }
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn lrn_whose_threads_share_a_position() {
    // Without its remainder a position is its picture's first for all: every thread writes the same outputs.
    let edit = ("position = at - picture * positions;", "position = 0;");
    let fault = caught("lrn", &[edit], "", lrn_backward, "st.global");
    assert_starts(&fault, "data race in global memory");
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn max_pooling_without_its_bound() {
    // One plane too many.
    let bound = (
        "plane < planes; plane += lines) {\n        const T *from",
        "plane <= planes; plane += lines) {\n        const T *from",
    );
    let fault = caught("max_pool", &[bound], "", max_pool_forward, "ld.global");
    assert_starts(&fault, "out-of-bounds global read of 4 bytes");
    let bound = (
        "plane < planes; plane += lines) {\n        size_t base",
        "plane <= planes; plane += lines) {\n        size_t base",
    );
    let fault = caught("max_pool", &[bound], "", max_pool_backward, "ld.global");
    assert_starts(&fault, "out-of-bounds global read of");
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn max_pooling_with_a_window_one_row_too_far() {
    let edit = (
        "min(2 * first + row, height - 1)",
        "min(2 * first + row + 1, height)",
    );
    let fault = caught("max_pool", &[edit], "", max_pool_forward, "ld.global");
    assert_starts(&fault, "out-of-bounds global read of 4 bytes");
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn a_convolution_that_looks_beside_its_picture() {
    let edit = ("inside && within(left + b, g.width) ?", "inside ?");
    let fault = caught("unfold", &[edit], "", unfold, "ld.global");
    assert_starts(&fault, "out-of-bounds global read of 4 bytes");
    // One tap too far.
    let edit = (
        "terms[a][b] = load(du, from + (a * KERNEL + b)",
        "terms[a][b] = load(du, from + (a * KERNEL + b + 1)",
    );
    let fault = caught("unfold", &[edit], "", fold, "ld.global");
    assert_starts(&fault, "out-of-bounds global read of 4 bytes");
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn fours_beyond_the_last() {
    let edit = ("if (block * 4 >= count)", "if (block * 4 > count)");
    let fault = caught("dropout", &[edit], "", dropout, "ld.global");
    assert_starts(&fault, "out-of-bounds global read of 16 bytes");
    assert_eq!(fault.thread, [13, 0, 0]);
    // A value that is no fourth of the slab.
    let edit = (
        "load_pack(slab + count + i, v)",
        "load_pack(slab + count + 1 + i, v)",
    );
    let fault = caught("sgd", &[edit], "", sgd, "ld.global");
    assert_starts(&fault, "misaligned global read of 16 bytes");
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn crops_and_windows_one_too_far() {
    let edit = ("i * side + crop - 1 - j", "i * side + crop - j");
    let fault = caught("augment", &[edit], "", augment, "ld.global");
    assert_starts(&fault, "out-of-bounds global read of");
    let edit = ("i * 2 * width + j * 2)", "i * 2 * width + j * 2 + 1)");
    let fault = caught("avg_pool", &[edit], "", avg_pool, "ld.global");
    assert_starts(&fault, "out-of-bounds global read of 4 bytes");
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn a_bias_for_more_pictures_than_there_are() {
    let edit = ("if (n + PART <= pictures)", "if (n <= pictures)");
    let fault = caught("bias", &[edit], "", spread, "global");
    assert_starts(&fault, "out-of-bounds global");
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn lrn_and_pooling_in_one_without_their_barrier() {
    let fault = caught(
        "lrn_max_pool",
        &[("__syncthreads();", "")],
        "",
        lrn_max_pool,
        ".shared",
    );
    assert!(fault.to_string().contains("shared memory"), "{fault}");
    // With one tile instead of two that take turns, one barrier is too few.
    let fault = caught(
        "lrn_max_pool",
        &[("turn ^= 1", "turn ^= 0")],
        "",
        lrn_max_pool,
        ".shared",
    );
    assert_starts(&fault, "data race in shared memory");
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn max_pooling_whose_backward_scatters_without_atomics() {
    // A thread an output, as our backward is not: two windows may have the same winner.
    const SCATTER: &str = r#"
        extern "C" __global__ void scatter(const u8 *winners, const float *dy, float *dx) {
            int place = threadIdx.x;
            if (place >= 100) return;
            int row = place / 10 * 2 + winners[place] / 3, column = place % 10 * 2 + winners[place] % 3;
            dx[row * 21 + column] += dy[place];
        }"#;
    fn launch(rig: &mut Rig) -> (&'static str, u32, u32, Vec<u64>) {
        // The lower right of each window but the right neighbour's lower left: one input in common.
        let winners: Vec<u8> = (0..100).map(|i| if i % 2 == 0 { 8 } else { 6 }).collect();
        let arguments = vec![
            rig.upload(&winners),
            upload(rig, 100),
            rig.upload(&[0f32; 441]),
        ];
        ("scatter", 1, 128, arguments)
    }
    let fault = caught("max_pool", &[], SCATTER, launch, ".global");
    assert_starts(&fault, "data race in global memory");
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn softmax_without_its_barriers() {
    let first = (
        "        sums[threadIdx.x] = mine.sum;\n        __syncthreads();\n",
        "        sums[threadIdx.x] = mine.sum;\n",
    );
    let in_the_tree = (
        "                sums[threadIdx.x] = mine.sum;\n            }\n            __syncthreads();\n",
        "                sums[threadIdx.x] = mine.sum;\n            }\n",
    );
    for barrier in [first, in_the_tree] {
        let fault = caught("softmax_nll", &[barrier], "", softmax, ".shared");
        assert!(fault.to_string().contains("shared memory"), "{fault}");
    }
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn softmax_with_a_barrier_that_one_thread_skips() {
    let edit = (
        "        sums[threadIdx.x] = mine.sum;\n        __syncthreads();\n",
        "        sums[threadIdx.x] = mine.sum;\n        if (threadIdx.x != 100) __syncthreads();\n",
    );
    let fault = caught("softmax_nll", &[edit], "", softmax, "bar");
    assert_starts(&fault, "divergent barrier");
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn softmax_with_too_little_shared_memory() {
    let edit = ("maxima[128], sums[128]", "maxima[128], sums[127]");
    let fault = caught("softmax_nll", &[edit], "", softmax, "st.shared");
    assert_starts(&fault, "out-of-bounds shared write of 4 bytes");
    assert_eq!(fault.thread, [127, 0, 0]);
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn threads_and_blocks_that_write_one_output() {
    let threads = ("store(p, first + c,", "store(p, first + c / 2,");
    let fault = caught("softmax_nll", &[threads], "", softmax, "st.global");
    assert_starts(&fault, "data race in global memory");
    let blocks = ("losses[row] =", "losses[0] =");
    let fault = caught("softmax_nll", &[blocks], "", nll_rows, "st.global");
    assert_starts(&fault, "data race in global memory");
    assert_eq!(fault.thread, [0, 0, 0]);
}
