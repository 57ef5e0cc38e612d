//! Structures back to the bytes that they were decoded from.

/// The fields of a structure, serialized one after another.
///
/// A vector that was decoded has a length that fits, so none fails.
macro_rules! serialized {
    ($($field:expr),+ $(,)?) => {{
        use tls_codec::Serialize as _;
        let mut bytes = Vec::new();
        $(bytes.extend($field.tls_serialize_detached().unwrap_or_default());)+
        bytes
    }};
}

pub(super) use serialized;
