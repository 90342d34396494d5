//! torchvision's network, a narrow one of its pattern: the scores that PyTorch gives.

mod common;

use common::{assert_close, fixture, narrow_scores, scores};
use tandem_alexnet::weights::Weights;
use tandem_formats::{Options, import};

#[test]
fn torchvisions_scores_come_out_of_its_safetensors() {
    let file = fixture("torchvision-narrow.safetensors");
    let imported = import(&file, &Options::default()).unwrap();
    assert_close(&scores(&imported), &narrow_scores(), 1e-4, "safetensors");
    assert_eq!(imported.weights.classes.len(), 10);
    let [note] = imported.notes.as_slice() else {
        panic!("{:?}", imported.notes)
    };
    assert!(note.contains("does not name its 10 classes"), "{note}");
    let origin = imported.weights.origin.unwrap();
    let from = "imported from torchvision-narrow.safetensors (safetensors, SHA-256 ";
    assert!(origin.starts_with(from), "{origin}");
}

#[test]
fn an_imported_network_is_a_folder_that_reads_back_equal_and_is_never_written_over() {
    let labels: Vec<String> = "abcdefghij".chars().map(String::from).collect();
    let options = Options {
        labels: Some(labels.clone()),
        ..Options::default()
    };
    let imported = import(&fixture("torchvision-narrow.safetensors"), &options).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new");
    let file = imported.write(&out).unwrap();
    let read = Weights::read(&file).unwrap();
    assert_eq!(read.classes, labels);
    assert_eq!(read.spec, imported.weights.spec);
    assert_eq!(read.origin, imported.weights.origin);
    let config = std::fs::read_to_string(out.join("config.toml")).unwrap();
    for said in ["normalise = \"torchvision\"", "\"j\"", "SHA-256"] {
        assert!(config.contains(said), "{said} in {config}");
    }
    let error = imported.write(&out).unwrap_err().to_string();
    assert!(error.contains("not empty"), "{error}");

    // What an import that was killed leaves is no obstacle.
    let whole = std::fs::read(&file).unwrap();
    std::fs::rename(&file, out.join("best.safetensors.tandem-unfinished")).unwrap();
    assert_eq!(imported.write(&out).unwrap(), file);
    assert!(std::fs::read(&file).unwrap() == whole);
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 2);
    // A file of somebody's own by that name is.
    std::fs::remove_file(&file).unwrap();
    std::fs::write(out.join("config.toml"), "epochs = 3").unwrap();
    assert!(imported.write(&out).is_err());
}

#[test]
fn a_number_of_labels_that_is_not_the_networks_is_refused() {
    let options = Options {
        labels: Some(vec!["cat".to_owned(), "dog".to_owned()]),
        ..Options::default()
    };
    let error = import(&fixture("torchvision-narrow.safetensors"), &options).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("2 labels were given and the network in the file has 10 classes"),
        "{error}"
    );
}
