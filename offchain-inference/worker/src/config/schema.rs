// SPDX-License-Identifier: Apache-2.0

//! The JSON schema of the configuration file, for editors.

use schemars::{
    generate::SchemaSettings,
    json_schema,
    transform::{transform_subschemas, Transform},
    Schema, SchemaGenerator,
};
use serde_json::{Map, Value};
use starling_shards::wire::WireFormat;

use super::Config;

/// The JSON schema of the configuration file.
pub fn schema() -> Value {
    // The version that editors know best; its own transforms come last.
    SchemaSettings::draft07()
        .with(|settings| settings.transforms.insert(0, Box::new(ForToml)))
        .into_generator()
        .into_root_schema_for::<Config>()
        .to_value()
}

pub(super) fn wire_format(_: &mut SchemaGenerator) -> Schema {
    let names = WireFormat::ALL.map(|wire| wire.to_string());
    json_schema!({ "enum": names })
}

pub(super) fn activation_bits(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "enum": [8, 16] })
}

pub(super) fn device(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": "^(cpu|candle|cuda(:[0-9]+)?)$" })
}

pub(super) fn api(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "enum": ["completions", "chat"] })
}

/// Makes a schema as strict as the reader, and leaves out what TOML does not have.
#[derive(Clone)]
struct ForToml;

impl Transform for ForToml {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(object) = schema.as_object_mut() {
            without_null(object);
            distribute(object);
            tidy(object);
        }
        transform_subschemas(self, schema);
    }
}

/// TOML has no null: a key is absent instead.
fn without_null(schema: &mut Map<String, Value>) {
    let is_null = |value: &Value| *value == "null" || value.get("type") == Some(&"null".into());
    for key in ["type", "anyOf"] {
        let Some(Value::Array(options)) = schema.get_mut(key) else {
            continue;
        };
        let before = options.len();
        options.retain(|option| !is_null(option));
        if options.len() == before {
            continue;
        }
        if let [only] = &options[..] {
            let only = only.clone();
            schema.remove(key);
            match only {
                Value::Object(only) => schema.extend(only),
                only => drop(schema.insert(key.into(), only)),
            }
        }
    }
    if schema.get("default") == Some(&Value::Null) {
        schema.remove("default");
    }
}

/// Moves the keys that all variants of a table have into the variants, each of which then refuses
/// all others.
fn distribute(schema: &mut Map<String, Value>) {
    let Some(Value::Object(shared)) = schema.get("properties").cloned() else {
        return;
    };
    let required = schema.get("required").cloned();
    let Some(Value::Array(variants)) = schema.get_mut("anyOf") else {
        return;
    };
    for variant in variants.iter_mut().filter_map(Value::as_object_mut) {
        for (key, more) in [
            ("properties", Some(Value::Object(shared.clone()))),
            ("required", required.clone()),
        ] {
            match (variant.get_mut(key), more) {
                (Some(Value::Object(own)), Some(Value::Object(more))) => own.extend(more),
                (Some(Value::Array(own)), Some(Value::Array(more))) => own.extend(more),
                (None, Some(more)) => drop(variant.insert(key.into(), more)),
                _ => {},
            }
        }
        variant.insert("additionalProperties".into(), false.into());
    }
    for key in [
        "properties",
        "required",
        "additionalProperties",
        "unevaluatedProperties",
    ] {
        schema.remove(key);
    }
}

/// Puts descriptions into one line, and writes floats as short as they are in the sources.
fn tidy(schema: &mut Map<String, Value>) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.replace('\n', " ");
    }
    let is_float = schema.get("format") == Some(&"float".into());
    let default = schema.get("default").and_then(Value::as_f64);
    if let (true, Some(default)) = (is_float, default) {
        let short = (default as f32).to_string().parse::<f64>().ok();
        schema.extend(short.map(|short| ("default".into(), short.into())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_in_the_repository_is_up_to_date() {
        let file = include_str!("../../agent.schema.json");
        let file: Value = serde_json::from_str(file).unwrap();
        assert!(
            file == schema(),
            "run `starling-node agent schema > offchain-inference/worker/agent.schema.json`"
        );
    }
}
