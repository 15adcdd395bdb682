//! docs/facts/nt-layout.json: layouts, constants and table indices of the interfaces the driver uses.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use crate::tool;

/// The parsed file.
pub struct Facts {
    root: Value,
}

/// A field of a structure. Offsets are from the start of the outermost structure.
pub struct Field<'a> {
    /// Names from the outermost structure down.
    pub path: Vec<&'a str>,
    pub c_type: &'a str,
    pub offset: Option<u64>,
    pub size: Option<u64>,
    pub bit_offset: Option<u64>,
    pub bits: Option<u64>,
    /// Lies in a member without a name.
    pub anonymous: bool,
}

/// A structure or union.
pub struct Layout<'a> {
    pub name: &'a str,
    pub kind: &'a str,
    pub size: u64,
    pub align: u64,
    pub fields: Vec<Field<'a>>,
}

/// An enumeration's name and its members.
pub type Enumeration<'a> = (&'a str, Vec<(&'a str, i64)>);

impl Facts {
    pub fn load(root: &Path) -> Result<Self> {
        let path = root.join("docs/facts/nt-layout.json");
        Ok(Self { root: serde_json::from_str(&tool::read(&path)?).with_context(|| path.display().to_string())? })
    }

    fn object(&self, key: &str) -> Result<&Map<String, Value>> {
        self.root.get(key).and_then(Value::as_object).with_context(|| format!("nt-layout.json has no `{key}`"))
    }

    pub fn layouts(&self) -> Result<Vec<Layout<'_>>> {
        let number = |value: &Value, key: &str| value.get(key).and_then(Value::as_u64);
        let text = |value, key| Value::get(value, key).and_then(Value::as_str).unwrap_or_default();
        Ok(self
            .object("types")?
            .iter()
            .map(|(name, value)| Layout {
                name,
                kind: text(value, "kind"),
                size: number(value, "size").unwrap_or(0),
                align: number(value, "align").unwrap_or(1),
                fields: value
                    .get("fields")
                    .and_then(Value::as_object)
                    .into_iter()
                    .flatten()
                    .map(|(path, field)| Field {
                        path: path.split('.').collect(),
                        c_type: text(field, "type"),
                        offset: number(field, "offset"),
                        size: number(field, "size"),
                        bit_offset: number(field, "bit_offset"),
                        bits: number(field, "bits"),
                        anonymous: field.get("anon").is_some(),
                    })
                    .collect(),
            })
            .collect())
    }

    /// Enumerations.
    pub fn enums(&self) -> Result<Vec<Enumeration<'_>>> {
        Ok(self
            .object("enums")?
            .iter()
            .map(|(name, members)| {
                let members = members.as_object().into_iter().flatten();
                (name.as_str(), members.filter_map(|(k, v)| Some((k.as_str(), v.as_i64()?))).collect())
            })
            .collect())
    }

    /// Constants; `STATUS_*` as the signed numbers they are.
    pub fn constants(&self) -> Result<Vec<(&str, i64)>> {
        Ok(self
            .object("constants")?
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), value.as_i64().or_else(|| value.get("i32")?.as_i64())?)))
            .collect())
    }

    /// Function pointer types, in C.
    pub fn function_types(&self) -> Result<Vec<(&str, &str)>> {
        Ok(self.object("pfn")?.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_str()?))).collect())
    }

    /// Strings of the headers.
    pub fn strings(&self) -> Result<Vec<(&str, &str)>> {
        Ok(self.object("strings")?.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_str()?))).collect())
    }

    /// A function table: names and indices. `table` is `wdf_table` or `net_table`.
    pub fn table(&self, table: &str) -> Result<Vec<(&str, u64)>> {
        Ok(self.object(table)?.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_u64()?))).collect())
    }

    /// The number of functions of a client version. `counts` is `wdf_function_count` or `net_function_count`.
    pub fn count(&self, counts: &str, version: &str) -> Result<u64> {
        self.object(counts)?
            .get(version)
            .and_then(Value::as_u64)
            .with_context(|| format!("nt-layout.json has no {counts} of {version}"))
    }
}
