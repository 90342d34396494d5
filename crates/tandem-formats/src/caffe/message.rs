//! What is needed of caffe.proto, in the words and numbers of
//! <https://github.com/BVLC/caffe/blob/master/src/caffe/proto/caffe.proto>.

use prost::Message;

/// `NetParameter`, without its layers.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Net {
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    /// Channels and sides of an input that is no layer: four numbers an input, or `input_shape`.
    #[prost(int32, repeated, packed = "false", tag = "4")]
    pub input_dim: Vec<i32>,
    #[prost(message, repeated, tag = "8")]
    pub input_shape: Vec<BlobShape>,
}

/// `LayerParameter`, without its blobs; of a `V1LayerParameter` the same.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Layer {
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub kind: Option<String>,
    #[prost(string, repeated, tag = "3")]
    pub bottom: Vec<String>,
    #[prost(string, repeated, tag = "4")]
    pub top: Vec<String>,
    #[prost(message, optional, tag = "100")]
    pub transform: Option<Transformation>,
    #[prost(message, optional, tag = "106")]
    pub convolution: Option<Convolution>,
    #[prost(message, optional, tag = "107")]
    pub data: Option<Data>,
    #[prost(message, optional, tag = "108")]
    pub dropout: Option<Dropout>,
    #[prost(message, optional, tag = "117")]
    pub inner_product: Option<InnerProduct>,
    #[prost(message, optional, tag = "118")]
    pub lrn: Option<Lrn>,
    #[prost(message, optional, tag = "121")]
    pub pooling: Option<Pooling>,
    #[prost(message, optional, tag = "123")]
    pub relu: Option<Relu>,
    #[prost(message, optional, tag = "143")]
    pub input: Option<Input>,
}

/// `V1LayerParameter`, of 2013 and 2014: the released weights' own. Its blobs are field 6.
#[derive(Clone, PartialEq, Message)]
pub(super) struct V1Layer {
    /// A `V0LayerParameter`, older still.
    #[prost(bytes = "vec", optional, tag = "1")]
    pub v0: Option<Vec<u8>>,
    #[prost(string, repeated, tag = "2")]
    pub bottom: Vec<String>,
    #[prost(string, repeated, tag = "3")]
    pub top: Vec<String>,
    #[prost(string, optional, tag = "4")]
    pub name: Option<String>,
    #[prost(enumeration = "V1Kind", optional, tag = "5")]
    pub kind: Option<i32>,
    #[prost(message, optional, tag = "10")]
    pub convolution: Option<Convolution>,
    #[prost(message, optional, tag = "11")]
    pub data: Option<Data>,
    #[prost(message, optional, tag = "12")]
    pub dropout: Option<Dropout>,
    #[prost(message, optional, tag = "17")]
    pub inner_product: Option<InnerProduct>,
    #[prost(message, optional, tag = "18")]
    pub lrn: Option<Lrn>,
    #[prost(message, optional, tag = "19")]
    pub pooling: Option<Pooling>,
    #[prost(message, optional, tag = "30")]
    pub relu: Option<Relu>,
    #[prost(message, optional, tag = "36")]
    pub transform: Option<Transformation>,
}

/// `V1LayerParameter.LayerType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum V1Kind {
    None = 0,
    Accuracy = 1,
    Bnll = 2,
    Concat = 3,
    Convolution = 4,
    Data = 5,
    Dropout = 6,
    EuclideanLoss = 7,
    Flatten = 8,
    Hdf5Data = 9,
    Hdf5Output = 10,
    Im2col = 11,
    ImageData = 12,
    InfogainLoss = 13,
    InnerProduct = 14,
    Lrn = 15,
    MultinomialLogisticLoss = 16,
    Pooling = 17,
    Relu = 18,
    Sigmoid = 19,
    Softmax = 20,
    SoftmaxLoss = 21,
    Split = 22,
    Tanh = 23,
    WindowData = 24,
    Eltwise = 25,
    Power = 26,
    SigmoidCrossEntropyLoss = 27,
    HingeLoss = 28,
    MemoryData = 29,
    ArgMax = 30,
    Threshold = 31,
    DummyData = 32,
    Slice = 33,
    Mvn = 34,
    AbsVal = 35,
    Silence = 36,
    ContrastiveLoss = 37,
    Exp = 38,
    Deconvolution = 39,
}

impl V1Kind {
    /// The kind as a `LayerParameter` calls it.
    fn name(self) -> String {
        match self {
            Self::Relu => "ReLU".to_owned(),
            Self::Tanh => "TanH".to_owned(),
            Self::Lrn => "LRN".to_owned(),
            Self::Hdf5Data => "HDF5Data".to_owned(),
            Self::SoftmaxLoss => "SoftmaxWithLoss".to_owned(),
            other => format!("{other:?}"),
        }
    }
}

impl From<V1Layer> for Layer {
    fn from(layer: V1Layer) -> Self {
        let kind = match layer.v0 {
            Some(_) => Some("V0LayerParameter".to_owned()),
            None => layer.kind.map(|kind| match V1Kind::try_from(kind) {
                Ok(kind) => kind.name(),
                Err(_) => format!("type {kind}"),
            }),
        };
        Self {
            name: layer.name,
            kind,
            bottom: layer.bottom,
            top: layer.top,
            transform: layer.transform,
            convolution: layer.convolution,
            data: layer.data,
            dropout: layer.dropout,
            inner_product: layer.inner_product,
            lrn: layer.lrn,
            pooling: layer.pooling,
            relu: layer.relu,
            input: None,
        }
    }
}

/// `BlobProto`, without its values: legacy dimensions, or a shape.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Blob {
    #[prost(int32, optional, tag = "1")]
    pub num: Option<i32>,
    #[prost(int32, optional, tag = "2")]
    pub channels: Option<i32>,
    #[prost(int32, optional, tag = "3")]
    pub height: Option<i32>,
    #[prost(int32, optional, tag = "4")]
    pub width: Option<i32>,
    #[prost(message, optional, tag = "7")]
    pub shape: Option<BlobShape>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct BlobShape {
    #[prost(int64, repeated, tag = "1")]
    pub dim: Vec<i64>,
}

/// `TransformationParameter`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Transformation {
    #[prost(float, optional, tag = "1")]
    pub scale: Option<f32>,
    #[prost(uint32, optional, tag = "3")]
    pub crop_size: Option<u32>,
    #[prost(string, optional, tag = "4")]
    pub mean_file: Option<String>,
    #[prost(float, repeated, packed = "false", tag = "5")]
    pub mean_value: Vec<f32>,
}

/// `DataParameter` and `ImageDataParameter`, which held the transformation before 2014.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Data {
    #[prost(float, optional, tag = "2")]
    pub scale: Option<f32>,
    #[prost(string, optional, tag = "3")]
    pub mean_file: Option<String>,
    #[prost(uint32, optional, tag = "5")]
    pub crop_size: Option<u32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Input {
    #[prost(message, repeated, tag = "1")]
    pub shape: Vec<BlobShape>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Convolution {
    #[prost(uint32, optional, tag = "1")]
    pub num_output: Option<u32>,
    #[prost(bool, optional, tag = "2")]
    pub bias_term: Option<bool>,
    #[prost(uint32, repeated, packed = "false", tag = "3")]
    pub pad: Vec<u32>,
    #[prost(uint32, repeated, packed = "false", tag = "4")]
    pub kernel_size: Vec<u32>,
    #[prost(uint32, optional, tag = "5")]
    pub group: Option<u32>,
    #[prost(uint32, repeated, packed = "false", tag = "6")]
    pub stride: Vec<u32>,
    #[prost(message, optional, tag = "7")]
    pub weight_filler: Option<Filler>,
    #[prost(message, optional, tag = "8")]
    pub bias_filler: Option<Filler>,
    #[prost(uint32, optional, tag = "9")]
    pub pad_h: Option<u32>,
    #[prost(uint32, optional, tag = "10")]
    pub pad_w: Option<u32>,
    #[prost(uint32, optional, tag = "11")]
    pub kernel_h: Option<u32>,
    #[prost(uint32, optional, tag = "12")]
    pub kernel_w: Option<u32>,
    #[prost(uint32, optional, tag = "13")]
    pub stride_h: Option<u32>,
    #[prost(uint32, optional, tag = "14")]
    pub stride_w: Option<u32>,
    #[prost(int32, optional, tag = "16")]
    pub axis: Option<i32>,
    #[prost(uint32, repeated, packed = "false", tag = "18")]
    pub dilation: Vec<u32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Pooling {
    /// 0 the maximum, 1 the average, 2 stochastic.
    #[prost(int32, optional, tag = "1")]
    pub pool: Option<i32>,
    #[prost(uint32, optional, tag = "2")]
    pub kernel_size: Option<u32>,
    #[prost(uint32, optional, tag = "3")]
    pub stride: Option<u32>,
    #[prost(uint32, optional, tag = "4")]
    pub pad: Option<u32>,
    #[prost(uint32, optional, tag = "5")]
    pub kernel_h: Option<u32>,
    #[prost(uint32, optional, tag = "6")]
    pub kernel_w: Option<u32>,
    #[prost(uint32, optional, tag = "7")]
    pub stride_h: Option<u32>,
    #[prost(uint32, optional, tag = "8")]
    pub stride_w: Option<u32>,
    #[prost(uint32, optional, tag = "9")]
    pub pad_h: Option<u32>,
    #[prost(uint32, optional, tag = "10")]
    pub pad_w: Option<u32>,
    #[prost(bool, optional, tag = "12")]
    pub global_pooling: Option<bool>,
    /// 0 up, as ever; 1 down, in later versions.
    #[prost(int32, optional, tag = "13")]
    pub round_mode: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Lrn {
    #[prost(uint32, optional, tag = "1")]
    pub local_size: Option<u32>,
    #[prost(float, optional, tag = "2")]
    pub alpha: Option<f32>,
    #[prost(float, optional, tag = "3")]
    pub beta: Option<f32>,
    /// 0 across channels, 1 within one.
    #[prost(int32, optional, tag = "4")]
    pub norm_region: Option<i32>,
    #[prost(float, optional, tag = "5")]
    pub k: Option<f32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct InnerProduct {
    #[prost(uint32, optional, tag = "1")]
    pub num_output: Option<u32>,
    #[prost(bool, optional, tag = "2")]
    pub bias_term: Option<bool>,
    #[prost(message, optional, tag = "3")]
    pub weight_filler: Option<Filler>,
    #[prost(message, optional, tag = "4")]
    pub bias_filler: Option<Filler>,
    #[prost(int32, optional, tag = "5")]
    pub axis: Option<i32>,
    #[prost(bool, optional, tag = "6")]
    pub transpose: Option<bool>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Dropout {
    #[prost(float, optional, tag = "1")]
    pub dropout_ratio: Option<f32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Relu {
    #[prost(float, optional, tag = "1")]
    pub negative_slope: Option<f32>,
}

/// `FillerParameter`: what a weight or bias starts from.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Filler {
    #[prost(string, optional, tag = "1")]
    pub kind: Option<String>,
    #[prost(float, optional, tag = "2")]
    pub value: Option<f32>,
    #[prost(float, optional, tag = "6")]
    pub std: Option<f32>,
}
