//! The centre square is torchvision's `Resize` and `CenterCrop` of a Pillow picture, to the byte: the
//! pixels in `tests/pictures/squares` are theirs.

use std::path::Path;

use tandem_data::{Picture, Preprocess};

fn stored(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures");
    image::open(path.join(name)).unwrap().into_rgb8().into_raw()
}

/// Slopes under noise, as `make.py` makes them.
fn pattern(width: usize, height: usize) -> Picture {
    let mut pixels = Vec::with_capacity(width * height * 3);
    for y in 0..height as u32 {
        for x in 0..width as u32 {
            for c in 0..3_u32 {
                let mut noise = x
                    .wrapping_mul(374_761_393)
                    .wrapping_add(y.wrapping_mul(668_265_263))
                    .wrapping_add(c.wrapping_mul(2_246_822_519));
                noise = (noise ^ (noise >> 13)).wrapping_mul(1_274_126_177);
                let slope = ((3 * x + 2 * y + 60 * c) % 384).abs_diff(192);
                pixels.push((slope + ((noise >> 16) & 63)) as u8);
            }
        }
    }
    Picture {
        width,
        height,
        channels: 3,
        pixels,
    }
}

fn agrees(name: &str, got: &[u8], want: &[u8]) {
    assert_eq!(got.len(), want.len(), "{name}");
    let apart = got.iter().zip(want).position(|(a, b)| a != b);
    assert_eq!(apart, None, "{name}: the first byte that differs");
}

fn square(picture: &Picture, side: usize) -> Vec<u8> {
    Preprocess { side, channels: 3 }.apply(picture)
}

#[test]
fn a_photograph_is_scaled_as_torchvision_scales_it() {
    let photo = Picture {
        width: 112,
        height: 84,
        channels: 3,
        pixels: stored("photo.png"),
    };
    agrees(
        "photo",
        &square(&photo, 64),
        &stored("squares/photo-64.png"),
    );
}

#[test]
fn wide_tall_and_large_pictures_are_cut_where_torchvision_cuts_them() {
    for (width, height) in [(500, 375), (375, 500), (3000, 2000)] {
        let name = format!("squares/{width}x{height}-64.png");
        agrees(&name, &square(&pattern(width, height), 64), &stored(&name));
    }
}

#[test]
fn at_256_reductions_enlargements_and_plain_cuts_agree_row_by_row() {
    for (width, height) in [
        (500, 375),
        (333, 500),
        (3000, 2000),
        (40, 30),
        (261, 256),
        (256, 259),
        // Tall ones are scaled along the columns first, if they become smaller.
        (301, 1000),
        (1000, 301),
        (60, 200),
    ] {
        let all = square(&pattern(width, height), 256);
        let rows: Vec<u8> = [0, 37, 128, 255]
            .iter()
            .flat_map(|&row| all.chunks_exact(256 * 3).nth(row).unwrap())
            .copied()
            .collect();
        let name = format!("squares/{width}x{height}-256-rows.png");
        agrees(&name, &rows, &stored(&name));
    }
}
