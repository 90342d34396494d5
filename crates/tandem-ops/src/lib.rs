//! The operations of AlexNet that candle lacks, as candle custom ops with their own backward.
