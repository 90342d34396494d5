//! What a report says, as plain data that knows neither HTML nor Markdown.

/// A report, from top to bottom. The summary over all sections is made from them, not written.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    pub title: String,
    /// Paragraphs under the title.
    pub lead: Vec<String>,
    /// What the results were made with, as name and value: hardware, commit, date, data, command.
    pub facts: Vec<(String, String)>,
    /// What every interval on the page is, as in "95 % interval over 3 seeds".
    pub interval: String,
    pub sections: Vec<Section>,
}

/// One experiment.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// Its anchor and the start of its files' names: small letters, digits and hyphens, once a page.
    pub id: String,
    pub title: String,
    /// Where the paper has it, as in "Section 3.3".
    pub paper: Option<String>,
    /// What the experiment asks, in a sentence.
    pub question: String,
    pub verdict: Option<Verdict>,
    /// What the summary sets beside the published figures.
    pub effects: Vec<Effect>,
    pub blocks: Vec<Block>,
}

/// What the measurement says of the paper's claim.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    pub judgement: Judgement,
    /// Why, with the interval.
    pub words: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Judgement {
    Confirmed,
    Partly,
    NotOnThisData,
    /// The interval reaches both sides.
    Undecided,
    NotMeasured,
}

impl Judgement {
    /// All of them, in the order in which the summary counts them.
    pub const ALL: [Self; 5] = [
        Self::Confirmed,
        Self::Partly,
        Self::NotOnThisData,
        Self::Undecided,
        Self::NotMeasured,
    ];

    /// As it stands on the page.
    pub fn words(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Partly => "partly confirmed",
            Self::NotOnThisData => "not on this data",
            Self::Undecided => "undecided",
            Self::NotMeasured => "not measured",
        }
    }
}

/// What one change is worth, published and measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    /// Of what, as in "top-1 error".
    pub name: String,
    pub unit: Unit,
    pub published: Option<Published>,
    pub measured: Option<Estimate>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Percentage points by which an error changes; below zero is better. These share a plot.
    Points,
    /// A ratio.
    Times,
}

/// A figure of the paper, which are not all plain numbers: "over −1".
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    pub words: String,
    /// Where it stands in a plot.
    pub value: f64,
}

/// A mean and what it may be off by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    pub value: f64,
    /// Lower and upper end.
    pub interval: Option<(f64, f64)>,
}

impl From<f64> for Estimate {
    fn from(value: f64) -> Self {
        let interval = None;
        Self { value, interval }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// A paragraph.
    Text(String),
    Table(Table),
    Chart(Chart),
    /// Text that keeps its lines and is folded until asked for: a configuration, as TOML.
    Details {
        summary: String,
        text: String,
    },
    Picture(Picture),
}

/// The first column heads the rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    pub caption: String,
    pub columns: Vec<Column>,
    /// As many cells each as there are columns.
    pub rows: Vec<Vec<String>>,
    /// The row to look at first.
    pub emphasis: Option<usize>,
    /// A remark under the table.
    pub note: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub name: String,
    /// Numbers are aligned at their right end.
    pub numeric: bool,
}

impl Column {
    /// Columns of words first and numbers after.
    pub fn words_then_numbers(names: &[&str]) -> Vec<Self> {
        let columns = names.iter().enumerate();
        columns
            .map(|(place, name)| Self {
                name: (*name).to_owned(),
                numeric: place > 0,
            })
            .collect()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    pub png: Vec<u8>,
    /// What it shows, for those who do not see it.
    pub alt: String,
    pub caption: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    pub caption: String,
    pub plot: Plot,
}

/// Values that are not finite, or not above zero on a logarithmic axis, are left out.
#[derive(Clone, Debug, PartialEq)]
pub enum Plot {
    /// Curves with a band for the interval. A value left out is a gap.
    Lines {
        x: Axis,
        y: Axis,
        series: Vec<Series>,
    },
    /// Horizontal bars from zero with whiskers: for each category one bar a series.
    Bars {
        x: Axis,
        categories: Vec<String>,
        series: Vec<Bars>,
    },
    /// A forest plot: measured with interval beside published, against a vertical line.
    Forest {
        x: Axis,
        /// Where the line stands: no effect.
        reference: f64,
        rows: Vec<ForestRow>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    pub label: String,
    pub scale: Scale,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Scale {
    Linear,
    /// Shares of one, shown times a hundred.
    Percent,
    Logarithmic,
    /// The value `i` is called by the i-th name, from 0.
    Named(Vec<String>),
}

/// A curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    pub name: String,
    /// (x, y), by ascending x.
    pub points: Vec<(f64, Estimate)>,
}

/// The bars of one colour.
#[derive(Clone, Debug, PartialEq)]
pub struct Bars {
    pub name: String,
    /// One for each category.
    pub values: Vec<Option<Estimate>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ForestRow {
    pub label: String,
    pub measured: Option<Estimate>,
    pub published: Option<f64>,
}
