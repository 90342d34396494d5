//! cuDNN's functions, called as an application calls them: values worked out by hand, and what is refused.

mod rig;

use std::ptr::null_mut;

use cuda_emulator::ffi::{Handle, context::*, dnn::*, memory::*, stream::*};
use rig::app::{App, ok};

const NOT_SUPPORTED: i32 = 3000;

/// A handle, and descriptors of one picture 3 × 3, two filters 2 × 2 and the outputs 2 × 2 × 2.
struct Described {
    library: Handle,
    x: Handle,
    w: Handle,
    how: Handle,
    y: Handle,
}

fn made(create: unsafe extern "C" fn(*mut Handle) -> i32) -> Handle {
    let mut descriptor = null_mut();
    unsafe { ok(create(&mut descriptor)) };
    descriptor
}

fn described() -> Described {
    let d = Described {
        library: made(cudnnCreate),
        x: made(cudnnCreateTensorDescriptor),
        w: made(cudnnCreateFilterDescriptor),
        how: made(cudnnCreateConvolutionDescriptor),
        y: made(cudnnCreateTensorDescriptor),
    };
    ok(cudnnSetTensor4dDescriptor(d.x, 0, 0, 1, 1, 3, 3));
    ok(cudnnSetFilter4dDescriptor(d.w, 0, 0, 2, 1, 2, 2));
    ok(cudnnSetConvolution2dDescriptor(
        d.how, 0, 0, 1, 1, 1, 1, 1, 0,
    ));
    ok(cudnnSetTensor4dDescriptor(d.y, 0, 0, 1, 2, 2, 2));
    d
}

impl Drop for Described {
    fn drop(&mut self) {
        ok(cudnnDestroyTensorDescriptor(self.x));
        ok(cudnnDestroyFilterDescriptor(self.w));
        ok(cudnnDestroyConvolutionDescriptor(self.how));
        ok(cudnnDestroyTensorDescriptor(self.y));
        ok(cudnnDestroy(self.library));
    }
}

const X: [f32; 9] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];
/// The upper left minus the lower right, and the upper right.
const W: [f32; 8] = [1.0, 0.0, 0.0, -1.0, 0.0, 1.0, 0.0, 0.0];
const Y: [f32; 8] = [-4.0, -4.0, -4.0, -4.0, 2.0, 3.0, 5.0, 6.0];

/// `y = alpha conv(x, w) + beta y`, by an algorithm with so much workspace.
fn forward(
    d: &Described,
    [x, w, y]: [u64; 3],
    [alpha, beta]: [f32; 2],
    algorithm: i32,
    workspace: (u64, usize),
) -> i32 {
    let (alpha, beta) = ((&raw const alpha).cast(), (&raw const beta).cast());
    let (place, bytes) = workspace;
    unsafe {
        cudnnConvolutionForward(
            d.library, alpha, d.x, x, d.w, w, d.how, algorithm, place, bytes, beta, d.y, y,
        )
    }
}

#[test]
fn a_convolution_and_its_gradients() {
    let (app, d) = (App::start(), described());
    let (x, w) = (app.upload(&X), app.upload(&W));
    let (mut y, mut workspace) = (0, 0);
    unsafe {
        // Never written: with beta = 0 it must not be read.
        ok(cuMemAlloc_v2(&mut y, 32));
        ok(cuMemAlloc_v2(&mut workspace, 64));
    }
    for algorithm in [0, 1] {
        ok(forward(
            &d,
            [x, w, y],
            [1.0, 0.0],
            algorithm,
            (workspace, 64),
        ));
        assert_eq!(app.download::<f32>(y, 8), Ok(Y.to_vec()));
    }
    ok(forward(&d, [x, w, y], [2.0, -1.0], 0, (0, 0)));
    assert_eq!(app.download::<f32>(y, 8), Ok(Y.to_vec()));

    let (one, zero) = (1f32, 0f32);
    let (one, zero) = ((&raw const one).cast(), (&raw const zero).cast());
    let dy = app.upload(&[1f32, 0.0, 0.0, 2.0, 0.0, 3.0, 0.0, 0.0]);
    let (dx, dw) = (app.upload(&[9f32; 9]), app.upload(&[9f32; 8]));
    let Described {
        library,
        x: of_x,
        w: of_w,
        how,
        y: of_y,
    } = d;
    unsafe {
        ok(cudnnConvolutionBackwardData(
            library, one, of_w, w, of_y, dy, how, 1, workspace, 64, zero, of_x, dx,
        ));
        ok(cudnnConvolutionBackwardFilter(
            library, one, of_x, x, of_y, dy, how, 1, workspace, 64, zero, of_w, dw,
        ));
    }
    // The first output's 1 and 2 at their upper left and minus that at their lower right; the second's 3.
    let expected = vec![1.0, 0.0, 3.0, 0.0, 1.0, 0.0, 0.0, 0.0, -2.0];
    assert_eq!(app.download::<f32>(dx, 9), Ok(expected));
    let expected = vec![11.0, 14.0, 20.0, 23.0, 6.0, 9.0, 15.0, 18.0];
    assert_eq!(app.download::<f32>(dw, 8), Ok(expected));
    for address in [x, w, y, workspace, dy, dx, dw] {
        unsafe { ok(cuMemFree_v2(address)) };
    }
}

#[test]
fn padding_strides_and_groups() {
    let (app, d) = (App::start(), described());
    // Two channels of 2 × 3 in two groups, a filter of 3 × 1 each, padding above and below, every
    // second column.
    ok(cudnnSetTensor4dDescriptor(d.x, 0, 0, 1, 2, 2, 3));
    ok(cudnnSetFilter4dDescriptor(d.w, 0, 0, 2, 1, 3, 1));
    ok(cudnnSetConvolution2dDescriptor(
        d.how, 1, 0, 1, 2, 1, 1, 1, 0,
    ));
    ok(cudnnSetConvolutionGroupCount(d.how, 2));
    ok(cudnnSetTensor4dDescriptor(d.y, 0, 0, 1, 2, 2, 2));
    let x = app.upload(&[
        1f32, 2.0, 3.0, 4.0, 5.0, 6.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0,
    ]);
    let (w, y) = (
        app.upload(&[1f32, 10.0, 100.0, 1.0, 0.0, 0.0]),
        app.upload(&[0f32; 8]),
    );
    ok(forward(&d, [x, w, y], [1.0, 0.0], 0, (0, 0)));
    let expected = vec![410.0, 630.0, 41.0, 63.0, 0.0, 0.0, 10.0, 30.0];
    assert_eq!(app.download::<f32>(y, 8), Ok(expected));
    for address in [x, w, y] {
        unsafe { ok(cuMemFree_v2(address)) };
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let (app, d) = (App::start(), described());
    let (x, w, y) = (app.upload(&X), app.upload(&W), app.upload(&Y));
    let try_it = |algorithm, workspace| forward(&d, [x, w, y], [1.0, 0.0], algorithm, workspace);
    let mut needed = 0;
    unsafe {
        ok(cudnnGetConvolutionForwardWorkspaceSize(
            d.library,
            d.x,
            d.w,
            d.how,
            d.y,
            1,
            &mut needed,
        ));
    }
    assert_eq!(needed, 64, "four taps at four places");
    assert_eq!(try_it(1, (x, 63)), 2006, "too little workspace");
    assert_ne!(try_it(1, (0, 64)), 0, "a workspace that is nowhere");
    assert_eq!(try_it(7, (0, 0)), NOT_SUPPORTED, "Winograd's algorithm");
    let beside = forward(&d, [x + 4, w, y], [1.0, 0.0], 0, (0, 0));
    assert_eq!(beside, 2003, "no multiple of 16 bytes");
    assert_eq!(cudnnSetTensor4dDescriptor(d.y, 0, 0, 1, 2, 3, 3), 0);
    assert_eq!(try_it(0, (0, 0)), 2008, "outputs larger than they can be");
    assert_eq!(cudnnSetTensor4dDescriptor(d.y, 0, 0, 1, 2, 2, 2), 0);
    assert_eq!(
        cudnnSetTensor4dDescriptor(d.y, 1, 0, 1, 2, 2, 2),
        NOT_SUPPORTED,
        "channels last"
    );
    assert_eq!(
        cudnnSetTensor4dDescriptor(d.y, 0, 3, 1, 2, 2, 2),
        NOT_SUPPORTED,
        "bytes"
    );
    assert_eq!(
        cudnnSetTensor4dDescriptor(d.w, 0, 0, 1, 2, 2, 2),
        2000,
        "a filter's descriptor"
    );
    let strided = cudnnSetTensor4dDescriptorEx(d.y, 0, 1, 2, 2, 2, 16, 8, 4, 2);
    assert_eq!(strided, NOT_SUPPORTED, "gaps");
    let dilated = cudnnSetConvolution2dDescriptor(d.how, 0, 0, 1, 1, 2, 2, 1, 0);
    assert_eq!(dilated, NOT_SUPPORTED, "dilation");
    unsafe {
        ok(cuMemFree_v2(y));
        assert_ne!(try_it(0, (0, 0)), 0, "an output that was freed");
        ok(cuMemFree_v2(x));
        ok(cuMemFree_v2(w));
    }
}

#[test]
fn the_order_of_streams_holds_for_convolutions_too() {
    let (app, d) = (App::start(), described());
    let (x, w, y) = (app.upload(&X), app.upload(&W), app.upload(&Y));
    let (mut first, mut second) = (null_mut(), null_mut());
    unsafe {
        ok(cuStreamCreate(&mut first, 1));
        ok(cuStreamCreate(&mut second, 1));
        // What uploaded them is over.
        ok(cuCtxSynchronize());
        ok(cudnnSetStream(d.library, first));
        ok(forward(&d, [x, w, y], [1.0, 0.0], 0, (0, 0)));
        ok(cudnnSetStream(d.library, second));
        assert_ne!(
            forward(&d, [x, w, y], [1.0, 0.0], 0, (0, 0)),
            0,
            "the other writes there"
        );
        ok(cuStreamSynchronize(first));
        ok(forward(&d, [x, w, y], [1.0, 0.0], 0, (0, 0)));
        ok(cuStreamSynchronize(second));
        for address in [x, w, y] {
            ok(cuMemFree_v2(address));
        }
    }
}
