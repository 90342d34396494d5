//! PyTorch's files in all forms: the scores that PyTorch gives, and files that are not what they
//! should be. `make_torch_fixtures.py` made the files.

mod common;

use std::fs;
use std::path::Path;

use common::{assert_close, fixture, narrow_scores, scores};
use tandem_formats::{Format, Options, Problem, import, import_bytes};

/// PyTorch's scores of the tiny network, whose weights are stored as `element`.
fn wanted(element: &str) -> Vec<f32> {
    let text = fs::read_to_string(fixture("tiny-logits.json")).unwrap();
    let scores: serde_json::Value = serde_json::from_str(&text).unwrap();
    let scores = scores[element].as_array().unwrap();
    scores
        .iter()
        .map(|score| score.as_f64().unwrap() as f32)
        .collect()
}

#[test]
fn torchvisions_scores_come_out_of_its_pth() {
    let imported = import(&fixture("torchvision-narrow.pth"), &Options::default()).unwrap();
    assert_eq!(imported.format, Format::TorchZip);
    assert_close(
        &scores(&imported),
        &narrow_scores(),
        1e-4,
        "torchvision-narrow.pth",
    );
}

#[test]
fn all_forms_and_precisions_give_pytorchs_scores() {
    for (name, format, element) in [
        ("zip", Format::TorchZip, "float"),
        ("stream", Format::TorchStream, "float"),
        ("tar", Format::TorchTar, "float"),
        ("half", Format::TorchZip, "half"),
        ("bfloat16", Format::TorchZip, "bfloat16"),
        ("double-stream", Format::TorchStream, "float"),
        ("double-tar", Format::TorchTar, "float"),
        ("shared-zip", Format::TorchZip, "float"),
        ("shared-stream", Format::TorchStream, "float"),
        ("shared-tar", Format::TorchTar, "float"),
    ] {
        let file = fixture(&format!("tiny-{name}.pth"));
        let imported = import(&file, &Options::default()).unwrap();
        assert_eq!(imported.format, format, "{name}");
        assert_close(&scores(&imported), &wanted(element), 1e-5, name);
        let rounded = imported
            .notes
            .iter()
            .any(|note| note.contains("rounded to single"));
        assert_eq!(rounded, name.contains("double"), "{name}");
        let notes = imported.notes.len() - usize::from(rounded);
        assert_eq!(notes, 1, "{name}: {:?}", imported.notes);
    }
}

#[test]
fn a_training_scripts_checkpoint_gives_its_weights_and_says_what_was_left_out() {
    let imported = import(&fixture("tiny-example.pth"), &Options::default()).unwrap();
    assert_close(
        &scores(&imported),
        &wanted("float"),
        1e-5,
        "tiny-example.pth",
    );
    let notes = imported.notes.join("\n");
    assert!(
        notes.contains("`state_dict`") && notes.contains("epoch, arch, best_acc1, optimizer"),
        "{notes}"
    );
    assert!(notes.contains("DataParallel"), "{notes}");
    let imported = import(&fixture("tiny-parallel-stream.pth"), &Options::default()).unwrap();
    assert_close(
        &scores(&imported),
        &wanted("float"),
        1e-5,
        "tiny-parallel-stream.pth",
    );
}

#[test]
fn an_exploit_is_refused_by_name_and_place_and_touches_nothing() {
    let touched = Path::new("/tmp/tandem-was-here");
    assert!(!touched.exists(), "the test's own premise");
    for name in ["exploit-zip.pth", "exploit-stream.pth"] {
        let error = import(&fixture(name), &Options::default()).unwrap_err();
        let Problem::Refused {
            ref module,
            name: ref function,
            at,
        } = *error.problem
        else {
            panic!("{error}")
        };
        assert_eq!((module.as_str(), function.as_str()), ("posix", "system"));
        // The instruction that names it is there in the file.
        let file = fs::read(fixture(name)).unwrap();
        assert!(file[at..].starts_with(b"cposix\nsystem\n"), "{at}");
        let error = error.to_string();
        assert!(error.contains("`posix.system` at byte"), "{error}");
    }
    assert!(!touched.exists());
}

#[test]
fn a_whole_module_is_refused_with_what_to_save_instead() {
    let error = import(&fixture("whole-module.pth"), &Options::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`torch.nn.modules.module.Module`"),
        "{error}"
    );
    assert!(
        error.contains("torch.save(model.state_dict(), FILE)"),
        "{error}"
    );
}

#[test]
fn a_file_cut_short_anywhere_is_refused() {
    for name in ["zip", "stream", "tar"] {
        let whole = fs::read(fixture(&format!("tiny-{name}.pth"))).unwrap();
        // What follows `pickle`, the last member of the tar, is zeros up to 10,240 bytes: no loss.
        let end = match name {
            "tar" => whole.iter().rposition(|&byte| byte != 0).unwrap(),
            _ => whole.len(),
        };
        for length in (0..end).step_by(37) {
            assert!(
                import_bytes(&whole[..length], &Options::default()).is_err(),
                "{name} cut to {length}"
            );
        }
    }
}

/// The bytes of `name` with the one place of `from` replaced by `to`.
fn with(name: &str, from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut file = fs::read(fixture(name)).unwrap();
    let places: Vec<usize> = (0..=file.len() - from.len())
        .filter(|&at| file[at..].starts_with(from))
        .collect();
    assert_eq!(places.len(), 1, "{name} has {from:?} at {places:?}");
    file.splice(places[0]..places[0] + from.len(), to.iter().copied());
    file
}

fn refused(file: &[u8]) -> String {
    import_bytes(file, &Options::default())
        .unwrap_err()
        .to_string()
}

#[test]
fn damage_to_a_weight_is_noticed_by_the_zips_checksum() {
    let mut file = fs::read(fixture("tiny-zip.pth")).unwrap();
    let weights = (0..file.len())
        .find(|&at| file[at..].starts_with(b"/data/0"))
        .unwrap();
    file[weights + 200] ^= 1;
    assert!(
        refused(&file).contains("`tiny-zip/data/0` does not have its checksum"),
        "{}",
        refused(&file)
    );
}

#[test]
fn a_tensor_that_is_none_is_an_error_and_not_left_out() {
    // The last bias: five values of storage 15. Its size becomes a text.
    let stream = with("tiny-stream.pth", b"K\x05\x85", b"U\x00\x85");
    assert!(
        refused(&stream).contains("a text stands where a number of values should")
            || refused(&stream).contains("bytes stands where a number of values should"),
        "{}",
        refused(&stream)
    );
    // A tensor's name stands for a number.
    let error = refused(&with(
        "tiny-tar.pth",
        b"classifier.6.biasq",
        b"classifier.6.bios",
    ));
    assert!(!error.is_empty());
}

#[test]
fn a_pickle_that_only_nests_or_repeats_is_refused_in_little_memory() {
    let head = fs::read(fixture("tiny-stream.pth")).unwrap();
    let magic = &head[..15];
    let protocol = b"\x80\x02M\xe9\x03.";
    for bomb in [
        // A tuple in a tuple in a tuple …
        [b"N".as_slice(), &b"\x85".repeat(10_000_000)].concat(),
        // A list of ten of a list of ten of …
        [
            b"]q\x00".as_slice(),
            &b"](h\x00h\x00h\x00h\x00h\x00eq\x00".repeat(500_000),
        ]
        .concat(),
        // Each item twice.
        [b"(".as_slice(), &b"N2".repeat(5_000_000), b"t"].concat(),
        // A text of four gigabytes.
        b"X\xff\xff\xff\xffa".to_vec(),
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffa".to_vec(),
        b"j\xff\xff\xff\xff".to_vec(),
        b"\x8b\xff\xff\xff\x7f".to_vec(),
    ] {
        let file = [magic, protocol, b"\x80\x02}.", b"\x80\x02", &bomb, b"."].concat();
        let error = refused(&file);
        assert!(
            error.contains("its pickle makes no sense at byte"),
            "{error}"
        );
    }
}
