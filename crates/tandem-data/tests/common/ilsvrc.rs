//! A small ILSVRC, written in each of the forms in which the real one is found.

use std::path::Path;
use std::sync::Arc;

use libjpeg_turbo_rs::{PixelFormat, Subsampling, compress};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::{gzip, write};

/// The classes: WNID, and the devkit's number in `fixtures/devkit/small.mat`.
pub const CLASSES: [(&str, usize); 3] = [("n01440764", 3), ("n01751748", 2), ("n02119789", 1)];

pub const META: &[u8] = include_bytes!("../fixtures/devkit/small.mat");

/// One encoded picture.
#[derive(Clone)]
pub struct Jpeg {
    /// `n01440764_12.JPEG`.
    pub name: String,
    /// A place among [`CLASSES`].
    pub class: usize,
    pub bytes: Vec<u8>,
}

/// The pictures of each part.
pub struct Ilsvrc {
    pub train: Vec<Jpeg>,
    pub validation: Vec<Jpeg>,
    pub test: Vec<Jpeg>,
}

impl Ilsvrc {
    /// 12 training, 7 validation and 3 test pictures, encoded from the shipped ones; some are grey.
    pub fn new() -> Self {
        let shipped = tandem_data::open("builtin", tandem_data::Part::Train).unwrap();
        let mut next = 0;
        let mut jpeg = |name: String, class| {
            let picture = shipped.picture(next).unwrap();
            next += 1;
            let (pixels, format) = match next % 3 {
                0 => (picture.pixels, PixelFormat::Grayscale),
                _ => (
                    picture.pixels.iter().flat_map(|&grey| [grey; 3]).collect(),
                    PixelFormat::Rgb,
                ),
            };
            let bytes = compress(&pixels, 28, 28, format, 90, Subsampling::S444).unwrap();
            Jpeg { name, class, bytes }
        };
        let ilsvrc = |part: &str, number: usize| format!("ILSVRC2012_{part}_{number:08}.JPEG");
        Self {
            // Numbers as they are: not all of one length.
            train: (0..12)
                .map(|i| jpeg(format!("{}_{}.JPEG", CLASSES[i % 3].0, 7 * i + 3), i % 3))
                .collect(),
            validation: (1..=7)
                .map(|i| jpeg(ilsvrc("val", i), (5 * i + 1) % 3))
                .collect(),
            test: (1..=3).map(|i| jpeg(ilsvrc("test", i), 0)).collect(),
        }
    }

    /// `train/` and `val/`, a folder a class.
    pub fn class_folders(&self, root: &Path) {
        for (path, bytes) in self.by_class() {
            write(root, &path, bytes);
        }
    }

    /// [`Ilsvrc::class_folders`] in one tar.
    pub fn tar_of_class_folders(&self) -> Vec<u8> {
        let files = self.by_class();
        tar(files.iter().map(|(path, bytes)| (path.as_str(), *bytes)))
    }

    fn by_class(&self) -> Vec<(String, &[u8])> {
        [("train", &self.train), ("val", &self.validation)]
            .into_iter()
            .flat_map(|(part, pictures)| {
                pictures.iter().map(move |jpeg| {
                    let path = format!("{part}/{}/{}", CLASSES[jpeg.class].0, jpeg.name);
                    (path, jpeg.bytes.as_slice())
                })
            })
            .collect()
    }

    /// The tars of the set's keepers, and the devkit.
    pub fn archives(&self, root: &Path) {
        write(root, "ILSVRC2012_img_train.tar", &self.train_tar());
        write(root, "ILSVRC2012_img_val.tar", &flat("", &self.validation));
        write(
            root,
            "ILSVRC2012_img_test_v10102019.tar",
            &flat("test/", &self.test),
        );
        write(root, "ILSVRC2012_devkit_t12.tar.gz", &self.devkit());
    }

    /// The tars of the classes.
    pub fn class_tars(&self) -> Vec<(String, Vec<u8>)> {
        let tar_of = |(class, (wnid, _)): (usize, &(&str, usize))| {
            let pictures: Vec<Jpeg> = self
                .train
                .iter()
                .filter(|jpeg| jpeg.class == class)
                .cloned()
                .collect();
            (format!("{wnid}.tar"), flat("", &pictures))
        };
        CLASSES.iter().enumerate().map(tar_of).collect()
    }

    /// A tar of a tar a class.
    pub fn train_tar(&self) -> Vec<u8> {
        let tars = self.class_tars();
        tar(tars
            .iter()
            .map(|(name, bytes)| (name.as_str(), bytes.as_slice())))
    }

    /// The devkit's numbers of the validation pictures, one a line.
    pub fn ground_truth(&self) -> String {
        self.validation
            .iter()
            .map(|jpeg| format!("{}\n", CLASSES[jpeg.class].1))
            .collect()
    }

    /// A devkit, gzip'd.
    pub fn devkit(&self) -> Vec<u8> {
        let truth = self.ground_truth();
        gzip(&tar([
            ("ILSVRC2012_devkit_t12/readme.txt", b"".as_slice()),
            ("ILSVRC2012_devkit_t12/data/meta.mat", META),
            (
                "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt",
                truth.as_bytes(),
            ),
        ]))
    }

    /// Kaggle's tree with its lists.
    pub fn kaggle(&self, root: &Path) {
        let below = "ILSVRC/Data/CLS-LOC";
        for jpeg in &self.train {
            let path = format!("{below}/train/{}/{}", CLASSES[jpeg.class].0, jpeg.name);
            write(root, &path, &jpeg.bytes);
        }
        for (part, pictures) in [("val", &self.validation), ("test", &self.test)] {
            for jpeg in pictures {
                write(root, &format!("{below}/{part}/{}", jpeg.name), &jpeg.bytes);
            }
        }
        let mut solution = "ImageId,PredictionString\n".to_string();
        for jpeg in self.validation.iter().rev() {
            let (image, wnid) = (jpeg.name.trim_end_matches(".JPEG"), CLASSES[jpeg.class].0);
            solution += &format!("{image},{wnid} 85 1 499 272 {wnid} 1 2 3 4 \n");
        }
        write(root, "LOC_val_solution.csv", solution.as_bytes());
        let mapping: String = CLASSES
            .iter()
            .map(|(wnid, _)| format!("{wnid} words of another list\n"))
            .collect();
        write(root, "LOC_synset_mapping.txt", mapping.as_bytes());
    }

    /// Two training shards, whose pictures are numbers as in timm's, and one of validation.
    pub fn webdataset(&self, root: &Path) {
        let shard = |pictures: &[Jpeg]| {
            let mut files = Vec::new();
            for jpeg in pictures {
                let key = jpeg.name.trim_end_matches(".JPEG");
                let (wnid, name) = (CLASSES[jpeg.class].0, &jpeg.name);
                let json = format!(
                    r#"{{"filename": "{wnid}/{name}", "label": {}, "width": 28}}"#,
                    jpeg.class
                );
                files.push((format!("{key}.cls"), jpeg.class.to_string().into_bytes()));
                files.push((format!("{key}.jpg"), jpeg.bytes.clone()));
                files.push((format!("{key}.json"), json.into_bytes()));
            }
            tar(files
                .iter()
                .map(|(name, bytes)| (name.as_str(), bytes.as_slice())))
        };
        let (first, second) = self.train.split_at(5);
        write(root, "imagenet1k-train-0000.tar", &shard(second));
        write(root, "imagenet1k-train-0001.tar", &shard(first));
        write(
            root,
            "imagenet1k-validation-0000.tar",
            &shard(&self.validation),
        );
    }
}

impl Ilsvrc {
    /// Parquet files of Hugging Face's layout and names, rows in another order.
    pub fn parquet(&self, root: &Path) {
        for (part, pictures) in [("train", &self.train), ("validation", &self.validation)] {
            let rows: Vec<&Jpeg> = pictures.iter().rev().collect();
            let file = format!("data/{part}-00000-of-00001.parquet");
            write(root, &file, &parquet(&rows));
        }
    }
}

fn parquet(rows: &[&Jpeg]) -> Vec<u8> {
    let schema = "message schema {
        optional group image { optional binary bytes; optional binary path (UTF8); }
        optional int64 label;
    }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = Arc::new(WriterProperties::builder().build());
    let mut file = SerializedFileWriter::new(Vec::new(), schema, properties).unwrap();
    let mut group = file.next_row_group().unwrap();
    let path = |jpeg: &Jpeg| {
        let stem = jpeg.name.trim_end_matches(".JPEG");
        format!("{stem}_{}.JPEG", CLASSES[jpeg.class].0)
    };
    let texts = [
        rows.iter()
            .map(|jpeg| jpeg.bytes.clone())
            .collect::<Vec<_>>(),
        rows.iter().map(|jpeg| path(jpeg).into_bytes()).collect(),
    ];
    for values in texts {
        let values: Vec<ByteArray> = values.into_iter().map(ByteArray::from).collect();
        let mut column = group.next_column().unwrap().unwrap();
        let levels = vec![2; rows.len()];
        let written = column
            .typed::<ByteArrayType>()
            .write_batch(&values, Some(&levels), None);
        written.unwrap();
        column.close().unwrap();
    }
    let labels: Vec<i64> = rows.iter().map(|jpeg| jpeg.class as i64).collect();
    let mut column = group.next_column().unwrap().unwrap();
    let levels = vec![1; rows.len()];
    let written = column
        .typed::<Int64Type>()
        .write_batch(&labels, Some(&levels), None);
    written.unwrap();
    column.close().unwrap();
    group.close().unwrap();
    file.into_inner().unwrap()
}

/// A tar of pictures, not in the order of their names.
fn flat(folder: &str, pictures: &[Jpeg]) -> Vec<u8> {
    let files: Vec<(String, &[u8])> = pictures
        .iter()
        .rev()
        .map(|jpeg| (format!("{folder}{}", jpeg.name), jpeg.bytes.as_slice()))
        .collect();
    tar(files.iter().map(|(name, bytes)| (name.as_str(), *bytes)))
}

/// A tar of these files.
pub fn tar<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, bytes).unwrap();
    }
    builder.into_inner().unwrap()
}
