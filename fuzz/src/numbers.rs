//! Quantities, counts, decimals and durations: what is read can be written, and is then read as the same.

use weighbridge::units::{Bytes, Count, Decimal, GoDuration};

/// A text as each of them.
pub fn quantity(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(bytes) = Bytes::parse_quantity(text) {
        assert_eq!(Bytes::parse_quantity(&bytes.0.to_string()).ok(), Some(bytes), "{text:?}");
    }
    if let Ok(count) = Count::parse(text) {
        assert_eq!(Count::parse(&count.0.to_string()).ok(), Some(count), "{text:?}");
        assert!(count.short().len() <= 24, "{text:?}");
    }
    if let Ok(decimal) = Decimal::parse(text) {
        assert!(decimal.as_f64().is_finite(), "{text:?}");
        assert_eq!(Decimal::parse(&decimal.to_string()).ok(), Some(decimal), "{text:?}");
    }
    if let Ok(duration) = GoDuration::parse(text) {
        let written = format!("{}ns", duration.nanoseconds);
        assert_eq!(GoDuration::parse(&written).ok(), Some(duration), "{text:?}");
    }
}
