//! Handles of the spec's fields. A handle names a field, and takes only values of the field's type.
//!
//! A misspelt field, or a value of another type, is a compiler error. If fields of several types appear together, each
//! is an [`AnyField`]. It takes any JSON value, which is read as the field's type when it is offered. This is the only
//! way in for values read from text.

use std::fmt;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::grammar::Grammar;
use super::{DenseLayers, LayerPattern, ranges};
use crate::units::{Count, Decimal};

/// The values that a field may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// All values of the type. Counts start at one.
    Any,
    /// Whole numbers.
    Whole {
        /// The smallest number.
        least: u64,
        /// The largest number.
        most: u64,
    },
    /// An amount of memory: `80Gi`.
    Quantity,
    /// A list of names.
    Names {
        /// The most names.
        most: u64,
    },
    /// A percentage up to 100.
    Percent {
        /// Whether it may be zero.
        zero: bool,
    },
}

/// A type of fields.
pub trait FieldType: Serialize + DeserializeOwned + 'static {
    /// The form of its values in a table.
    type Constant: ValueOf<Field<Self>> + Copy + fmt::Debug + Sync;
    /// How people write a value of it, where the field has no narrower range.
    const GRAMMAR: Grammar;
}

impl FieldType for u32 {
    type Constant = u64;
    const GRAMMAR: Grammar = Grammar::Whole { least: 1, most: u64::MAX };
}
impl FieldType for u64 {
    type Constant = u64;
    const GRAMMAR: Grammar = Grammar::Whole { least: 1, most: u64::MAX };
}
impl FieldType for bool {
    type Constant = bool;
    const GRAMMAR: Grammar = Grammar::Boolean;
}
impl FieldType for String {
    type Constant = &'static str;
    const GRAMMAR: Grammar = Grammar::Name("a line of text, up to 253 characters");
}
impl FieldType for Vec<String> {
    type Constant = &'static [&'static str];
    const GRAMMAR: Grammar = Grammar::List { example: "first,second", most: u64::MAX };
}
impl FieldType for DenseLayers {
    type Constant = u64;
    const GRAMMAR: Grammar = Grammar::Layers { most: u64::MAX };
}
impl FieldType for LayerPattern {
    type Constant = &'static str;
    const GRAMMAR: Grammar = Grammar::Kinds;
}
impl FieldType for Decimal {
    type Constant = u64;
    const GRAMMAR: Grammar = Grammar::Decimal;
}
impl FieldType for Count {
    type Constant = u64;
    const GRAMMAR: Grammar = Grammar::Count;
}

/// The declaration of a field, or of a group of fields.
pub(super) struct Declared<Of> {
    path: &'static str,
    of: Of,
}

/// The declaration of a field.
pub(super) struct OfField {
    range: Range,
    grammar: Grammar,
    /// Reads a value as the field's type has it.
    read: fn(&Value) -> Result<Value, String>,
}

/// The declaration of a group.
pub(super) struct OfGroup {
    members: &'static [Member],
    /// The error for a value that is not a group of fields.
    complaint: fn(&Value) -> String,
}

impl Declared<OfField> {
    pub(super) const fn of<T: FieldType>(path: &'static str, range: Range) -> Self {
        let read = |value: &Value| {
            let typed = T::deserialize(value).map_err(|error| error.to_string())?;
            serde_json::to_value(typed).map_err(|error| error.to_string())
        };
        Self { path, of: OfField { range, grammar: T::GRAMMAR.within(range), read } }
    }
}

impl Declared<OfGroup> {
    pub(super) const fn of_group<T: DeserializeOwned>(
        path: &'static str,
        members: &'static [Member],
    ) -> Self {
        let complaint = |value: &Value| match T::deserialize(value) {
            Err(error) => error.to_string(),
            Ok(_) => "invalid type: write the group's fields by name".to_owned(),
        };
        Self { path, of: OfGroup { members, complaint } }
    }
}

/// A field of the spec, of any type.
#[derive(Clone, Copy)]
pub struct AnyField(&'static Declared<OfField>);

impl AnyField {
    /// Its path in the spec: `parallelism.tensor`.
    pub const fn path(self) -> &'static str {
        self.0.path
    }

    /// The values that it may have.
    pub const fn range(self) -> Range {
        self.0.of.range
    }

    /// How people write its values.
    pub const fn grammar(self) -> Grammar {
        self.0.of.grammar
    }

    /// Whether people read its values short: `70B`.
    pub(crate) const fn is_count(self) -> bool {
        matches!(self.grammar(), Grammar::Count)
    }

    /// A value in the field's type. The error, if the field does not take it.
    pub(crate) fn read(self, value: &Value) -> Result<Value, String> {
        let read = (self.0.of.read)(value)?;
        match ranges::out_of_range(self, &read) {
            Some(problem) => Err(problem),
            None => Ok(read),
        }
    }

    pub(crate) const fn member(self) -> Member {
        Member::Field(self)
    }
}

/// A group of fields: `parallelism`.
#[derive(Clone, Copy)]
pub struct Group(&'static Declared<OfGroup>);

impl Group {
    pub(super) const fn declare(declared: &'static Declared<OfGroup>) -> Self {
        Self(declared)
    }

    /// Its path in the spec. Empty for the spec itself.
    pub const fn path(self) -> &'static str {
        self.0.path
    }

    /// Its fields, and the groups in it.
    pub fn members(self) -> &'static [Member] {
        self.0.of.members
    }

    /// Its fields and those of the groups in it, in the order of the spec.
    pub fn fields(self) -> Vec<AnyField> {
        let of_member = |member: &Member| match member {
            Member::Field(field) => vec![*field],
            Member::Group(group) => group.fields(),
        };
        self.members().iter().flat_map(of_member).collect()
    }

    /// Whether a field stands in it, or in a group in it.
    pub(crate) fn has(self, field: impl Into<AnyField>) -> bool {
        let rest = field.into().path().strip_prefix(self.path());
        rest.is_some_and(|rest| self.path().is_empty() || rest.starts_with('.'))
    }

    /// The error for a value that is not a group of fields.
    pub(crate) fn complaint(self, value: &Value) -> String {
        (self.0.of.complaint)(value)
    }

    pub(crate) const fn member(self) -> Member {
        Member::Group(self)
    }
}

/// A member of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    /// A field.
    Field(AnyField),
    /// A group of fields.
    Group(Group),
}

impl Member {
    /// The last part of its path: `tensor`.
    pub fn name(self) -> &'static str {
        let path = match self {
            Self::Field(field) => field.path(),
            Self::Group(group) => group.path(),
        };
        path.rsplit('.').next().unwrap_or(path)
    }

    /// Whether it is this field, or a group that has it.
    pub(crate) fn covers(self, field: AnyField) -> bool {
        match self {
            Self::Field(own) => own == field,
            Self::Group(group) => group.has(field),
        }
    }

    /// The field, where it is one.
    pub fn field(self) -> Option<AnyField> {
        match self {
            Self::Field(field) => Some(field),
            Self::Group(_) => None,
        }
    }
}

/// A field of the spec with values of this type.
pub struct Field<T> {
    any: AnyField,
    values: PhantomData<fn() -> T>,
}

impl<T> Clone for Field<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Field<T> {}

impl<T> Field<T> {
    pub(super) const fn declare(declared: &'static Declared<OfField>) -> Self {
        Self { any: AnyField(declared), values: PhantomData }
    }

    /// The field without its type. It takes any JSON value.
    pub const fn erased(self) -> AnyField {
        self.any
    }

    /// Its path in the spec: `parallelism.tensor`.
    pub const fn path(self) -> &'static str {
        self.any.path()
    }

    pub(crate) const fn member(self) -> Member {
        Member::Field(self.any)
    }
}

impl<T> From<Field<T>> for AnyField {
    fn from(field: Field<T>) -> Self {
        field.any
    }
}

/// A value that a field takes: of the field's type, or of the type in which code computes it.
pub trait ValueOf<F> {
    /// The value in the spec's form.
    fn json(self) -> Value;
}

/// `impl ValueOf<Field<T>> for V`, if the value has the same JSON as the field.
macro_rules! takes {
    ($($type:ty: $($value:ty),+);+ $(;)?) => { $($(
        impl ValueOf<Field<$type>> for $value {
            fn json(self) -> Value {
                Value::from(self)
            }
        }
    )+)+ };
}

takes! {
    u32: u64;
    u64: u64;
    Count: u64;
    Decimal: u64;
    DenseLayers: u64, Vec<u32>;
    bool: bool;
    String: &str, String;
    Vec<String>: &[&str], Vec<&str>, Vec<String>;
}

impl ValueOf<Field<Self>> for Decimal {
    fn json(self) -> Value {
        self.to_string().into()
    }
}

impl ValueOf<Field<LayerPattern>> for &str {
    fn json(self) -> Value {
        Value::from(self)
    }
}

impl ValueOf<AnyField> for Value {
    fn json(self) -> Value {
        self
    }
}

/// A field with a value, for tables: `field::RECOMPUTE.is(Recompute::Full)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    /// The field.
    pub(crate) field: AnyField,
    /// Its value.
    pub(crate) value: Constant,
}

/// A value in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Constant {
    /// A number.
    Number(u64),
    /// A boolean.
    Truth(bool),
    /// A word of an enumeration, or text.
    Word(&'static str),
}

impl ValueOf<AnyField> for Constant {
    fn json(self) -> Value {
        match self {
            Self::Number(number) => number.into(),
            Self::Truth(truth) => truth.into(),
            Self::Word(word) => word.into(),
        }
    }
}

/// `Field::is`, for tables of constants. No trait method can make these.
macro_rules! is {
    ($($type:ty: $value:ty => $constant:ident;)+) => { $(
        impl Field<$type> {
            /// The field with this value.
            pub(crate) const fn is(self, value: $value) -> Assignment {
                Assignment { field: self.any, value: Constant::$constant(value) }
            }
        }
    )+ };
}

is! {
    u32: u64 => Number;
    u64: u64 => Number;
    Decimal: u64 => Number;
    bool: bool => Truth;
}

/// Shared behaviour of a field and a group: equality and order by path.
macro_rules! by_path {
    ($($handle:ident),+) => { $(
        impl PartialEq for $handle {
            fn eq(&self, other: &Self) -> bool {
                self.path() == other.path()
            }
        }

        impl Eq for $handle {}

        impl fmt::Display for $handle {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.path())
            }
        }

        impl fmt::Debug for $handle {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.path(), f)
            }
        }
    )+ };
}

by_path!(AnyField, Group);

impl PartialOrd for AnyField {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for AnyField {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.path().cmp(other.path())
    }
}

impl<T> PartialEq<Field<T>> for AnyField {
    fn eq(&self, other: &Field<T>) -> bool {
        *self == other.any
    }
}

impl Serialize for AnyField {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.path())
    }
}

impl<T> fmt::Display for Field<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path())
    }
}

impl<T> fmt::Debug for Field<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.path(), f)
    }
}
