//! How fields are left out of a record.

/// A field with this value is left out of a record.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
