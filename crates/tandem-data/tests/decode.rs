//! Pictures by other encoders, against what Pillow reads from them; `tests/pictures/README.md` says
//! how each was made.

use std::path::{Path, PathBuf};

use tandem_data::{DataError, Picture, PictureError, decode};
use tempfile::tempdir;

fn made(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/pictures")
        .join(name)
}

/// The file with these bytes, decoded.
fn decoded(bytes: &[u8]) -> Result<Picture, PictureError> {
    let folder = tempdir().unwrap();
    let path = folder.path().join("picture.jpg");
    std::fs::write(&path, bytes).unwrap();
    decode(&path).map_err(|error| match error {
        DataError::Decode { place, source } => {
            assert_eq!(place, path.display().to_string());
            source
        }
        other => panic!("{other}"),
    })
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(made(name)).unwrap()
}

#[test]
fn pictures_of_other_encoders_are_to_the_byte_those_that_pillow_reads() {
    for (name, pillow) in [
        ("444.jpg", "444.png"),
        ("422.jpg", "422.png"),
        ("420.jpg", "420.png"),
        ("411.jpg", "411.png"),
        ("440.jpg", "440.png"),
        ("progressive.jpg", "420.png"),
        ("restart.jpg", "420.png"),
        ("scans.jpg", "420.png"),
        ("arithmetic.jpg", "420.png"),
        ("orientation.jpg", "420.png"),
        ("trailing.jpg", "420.png"),
        ("junk.jpg", "420.png"),
        ("damaged.jpg", "damaged.png"),
        ("grey.jpg", "grey.png"),
        ("rgb.jpg", "rgb.png"),
        ("cmyk.jpg", "cmyk.png"),
        ("ycck.jpg", "ycck.png"),
        ("1x1.jpg", "1x1.png"),
        ("1x29.jpg", "1x29.png"),
        ("37x1.jpg", "37x1.png"),
        ("png.JPEG", "png.png"),
        ("palette.png", "palette.png"),
        ("alpha.png", "alpha.png"),
        ("grey16.png", "grey16.png"),
    ] {
        let picture = decode(made(name)).unwrap();
        let want = image::open(made("pillow").join(pillow)).unwrap();
        let channels = if want.color().has_color() { 3 } else { 1 };
        assert_eq!(
            (picture.width, picture.height, picture.channels),
            (want.width() as usize, want.height() as usize, channels),
            "{name}"
        );
        assert!(picture.pixels == want.as_bytes(), "{name}");
    }
}

#[test]
fn damage_inside_a_jpeg_with_its_end_is_passed_over() {
    let picture = decode(made("damaged.jpg")).unwrap();
    let plain = decode(made("420.jpg")).unwrap();
    assert_eq!(picture.width, plain.width);
    assert_ne!(picture, plain);
    // What comes before the damage is as it was.
    assert_eq!(picture.pixels[..37 * 3], plain.pixels[..37 * 3]);
}

#[test]
fn a_jpeg_cut_anywhere_before_its_last_pixel_is_cut_short() {
    for name in [
        "420.jpg",
        "444.jpg",
        "grey.jpg",
        "progressive.jpg",
        "restart.jpg",
        "scans.jpg",
        "cmyk.jpg",
    ] {
        let whole = read(name);
        for length in (3..whole.len() - 16).step_by(7) {
            let error = decoded(&whole[..length]).unwrap_err();
            assert!(
                matches!(error, PictureError::CutShort),
                "{name} at {length}: {error}"
            );
        }
    }
}

#[test]
fn a_jpeg_that_lacks_only_its_end_marker_keeps_its_pixels() {
    let whole = read("420.jpg");
    assert_eq!(
        decoded(&whole[..whole.len() - 2]).unwrap(),
        decode(made("420.jpg")).unwrap()
    );
}

/// The JPEG with another size in its frame header.
fn claiming(name: &str, width: u16, height: u16) -> Vec<u8> {
    let mut bytes = read(name);
    let frame = bytes
        .windows(2)
        .position(|pair| pair == [0xff, 0xc0] || pair == [0xff, 0xc2])
        .unwrap();
    bytes[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
    bytes[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
    bytes
}

#[test]
fn a_jpeg_that_claims_more_than_the_limits_is_refused_by_its_header() {
    let error = decode(made("huge.jpg")).unwrap_err();
    assert!(
        matches!(
            error,
            DataError::Decode {
                source: PictureError::TooLarge {
                    width: 60_000,
                    height: 60_000
                },
                ..
            }
        ),
        "{error}"
    );
    // Within the longest side, but not the memory: baseline pixels, progressive coefficients.
    for (name, width, height) in [
        ("420.jpg", 16_384, 16_384),
        ("progressive.jpg", 8_192, 8_192),
        ("scans.jpg", 16_384, 16_384),
    ] {
        let error = decoded(&claiming(name, width, height)).unwrap_err();
        assert!(
            matches!(error, PictureError::TooLarge { .. }),
            "{name}: {error}"
        );
    }
}

#[test]
fn four_inks_that_are_sampled_unevenly_are_refused() {
    let mut bytes = read("cmyk.jpg");
    let frame = bytes.windows(2).position(|pair| pair == [0xff, 0xc0]);
    // Behind marker, length, precision, size and count: of each component its name, sampling and table.
    bytes[frame.unwrap() + 10 + 3 + 1] = 0x12;
    let error = decoded(&bytes).unwrap_err();
    assert!(error.to_string().contains("unevenly"), "{error}");
}

#[test]
fn a_jpeg_with_less_than_a_bit_a_block_is_cut_short() {
    for name in ["420.jpg", "progressive.jpg", "scans.jpg"] {
        let error = decoded(&claiming(name, 4_000, 4_000)).unwrap_err();
        assert!(matches!(error, PictureError::CutShort), "{name}: {error}");
    }
}

#[test]
fn what_is_no_picture_says_so() {
    for bytes in [&b""[..], b"\xff", b"GIF89a", b"\nnot a picture"] {
        let error = decoded(bytes).unwrap_err();
        assert!(matches!(error, PictureError::Unrecognised), "{error}");
    }
}
