// SPDX-License-Identifier: Apache-2.0
//! `adapter_config.json` of PEFT.

use std::{collections::BTreeSet, fmt, fs::File, io::Read, path::Path};

use regex::Regex;
use serde::{
    de::{Error as _, MapAccess, Visitor},
    Deserialize, Deserializer,
};
use serde_json::{json, Map, Value};

use super::{names::EMBEDDING, Adapter, Pair, Reason, Target};

pub(super) const FILE: &str = "adapter_config.json";

/// The largest file: patterns that name every matrix of the largest models take less.
const MAX_BYTES: u64 = 1 << 20;

/// Keys that are read.
const READ: [&str; 12] = [
    "peft_type",
    "r",
    "lora_alpha",
    "target_modules",
    "rank_pattern",
    "alpha_pattern",
    "use_rslora",
    "bias",
    "init_lora_weights",
    "layers_to_transform",
    "exclude_modules",
    "base_model_name_or_path",
];

/// Keys that change nothing about an adapter that is trained.
const WITHOUT_EFFECT: [&str; 14] = [
    "auto_mapping",
    "corda_config",
    "eva_config",
    "inference_mode",
    "layers_pattern",
    "loftq_config",
    "lora_dropout",
    "lora_ga_config",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
    "task_type",
];

/// Ways to start A and B that leave the base model's weights as they are. The others move a part of
/// these weights into the adapter, which then fits the changed weights only.
const STARTS: [&str; 3] = ["gaussian", "eva", "orthogonal"];

/// A JSON object in the order of its file; a key that comes twice is refused.
#[derive(Clone, Debug)]
struct Ordered<T>(Vec<(String, T)>);

/// A JSON value that keeps the order of objects.
#[derive(Clone, Debug)]
enum Node {
    Object(Ordered<Node>),
    Other(Value),
}

impl<'de> Deserialize<'de> for Node {
    /// Not by serde's `untagged`: with serde_json's `arbitrary_precision`, which other crates of a
    /// program may switch on, a number looks like an object there.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<serde_json::value::RawValue>::deserialize(deserializer)?;
        let text = text.get();
        if text.starts_with('{') {
            serde_json::from_str(text).map(Self::Object)
        } else {
            serde_json::from_str(text).map(Self::Other)
        }
        .map_err(serde::de::Error::custom)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Ordered<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered<T>, A::Error> {
                let mut entries: Vec<(String, T)> = Vec::new();
                let mut keys = BTreeSet::new();
                while let Some((key, value)) = map.next_entry::<String, T>()? {
                    if !keys.insert(key.clone()) {
                        return Err(A::Error::custom(format!("key {key} is there twice")));
                    }
                    entries.push((key, value));
                }
                Ok(Ordered(entries))
            }
        }

        deserializer.deserialize_map(Entries(std::marker::PhantomData))
    }
}

/// Fails if an object of a JSON text has a key twice.
pub(super) fn check_keys(text: &[u8]) -> Reason<()> {
    serde_json::from_slice::<Ordered<serde::de::IgnoredAny>>(text)
        .map(drop)
        .map_err(|error| error.to_string())
}

/// Numbers by regular expressions for paths of matrices; the first that matches counts.
struct Pattern(Vec<(Regex, f64)>);

impl Pattern {
    fn find(&self, path: &str) -> Option<f64> {
        let found = self.0.iter().find(|(regex, _)| regex.is_match(path));
        found.map(|(_, number)| *number)
    }
}

/// The matrices that the file says were trained.
enum Targets {
    /// Ends of paths.
    Named(Vec<String>),
    /// A regular expression of Python's, or a rule: the tensors tell.
    Rule,
}

/// The file's settings, checked.
pub(super) struct Settings {
    rank: f64,
    alpha: f64,
    ranks: Pattern,
    alphas: Pattern,
    targets: Targets,
    excluded: bool,
    layers: Option<BTreeSet<usize>>,
    pub rank_stabilised: bool,
    pub base_model: Option<String>,
}

impl Settings {
    pub fn read(folder: &Path) -> Reason<Self> {
        let failed = |error: std::io::Error| format!("{FILE}: {error}");
        let mut text = Vec::new();
        let file = File::open(folder.join(FILE)).map_err(failed)?;
        file.take(MAX_BYTES.saturating_add(1))
            .read_to_end(&mut text)
            .map_err(failed)?;
        if text.len() as u64 > MAX_BYTES {
            return Err(format!("{FILE} has more than {MAX_BYTES} bytes"));
        }
        Self::parse(&text).map_err(|reason| format!("{FILE}: {reason}"))
    }

    fn parse(text: &[u8]) -> Reason<Self> {
        let object = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        let file = Keys(object);
        file.check_kinds()?;
        match file.text("peft_type")?.as_deref() {
            Some("LORA") => {},
            other => {
                let other = other.unwrap_or("missing");
                return Err(format!("peft_type is {other}, not LORA"));
            },
        }
        match file.text("bias")?.as_deref() {
            None | Some("none") => {},
            Some(other) => return Err(format!("bias is {other}; only `none` is supported")),
        }
        file.check_start()?;
        let required = |key: &str| {
            let number = file.number(key)?;
            number.ok_or_else(|| format!("{key} is missing"))
        };
        Ok(Self {
            rank: rank("r", required("r")?)?,
            alpha: required("lora_alpha")?,
            ranks: file.pattern("rank_pattern", rank)?,
            alphas: file.pattern("alpha_pattern", |_, alpha| Ok(alpha))?,
            targets: file.targets()?,
            excluded: file
                .get("exclude_modules")
                .is_some_and(|node| !is_neutral(node)),
            layers: file.layers()?,
            rank_stabilised: file.truth("use_rslora")?,
            base_model: file.text("base_model_name_or_path")?,
        })
    }

    /// The numerator of the scale of the matrix at `path`, whose tensors have rank `rank`.
    pub fn alpha(&self, path: &str, rank: usize) -> Reason<f64> {
        let said = self.ranks.find(path).unwrap_or(self.rank);
        if said != rank as f64 {
            return Err(format!(
                "{path} has rank {rank}; {FILE} says {said} (r or rank_pattern)"
            ));
        }
        Ok(self.alphas.find(path).unwrap_or(self.alpha))
    }

    /// Compares the matrices that have tensors with those that were trained. True if a target of
    /// one layer must be there in all.
    pub fn check_targets<'a>(
        &self,
        paths: impl Iterator<Item = ((usize, Target), &'a str)> + Clone,
    ) -> Reason<bool> {
        if let Some(layers) = &self.layers {
            let places: BTreeSet<_> = paths.clone().map(|(place, _)| place).collect();
            check_layers(&places, layers)?;
        }
        let Targets::Named(names) = &self.targets else {
            return Ok(false);
        };
        let named = |path: &str| names.iter().find(|name| is_at(path, name));
        if let Some((_, path)) = paths.clone().find(|(_, path)| named(path).is_none()) {
            return Err(format!(
                "{path} has tensors, but target_modules does not name it"
            ));
        }
        let without = names
            .iter()
            .find(|name| !paths.clone().any(|(_, path)| is_at(path, name)));
        if let Some(name) = without {
            let embedding = ["embed_tokens", "lm_head"]
                .iter()
                .any(|end| name.ends_with(end));
            let reason = if embedding {
                EMBEDDING
            } else {
                "no tensor is of it"
            };
            return Err(format!("target_modules names {name}: {reason}"));
        }
        let of_all_layers = !names.iter().any(|name| name.contains(char::is_numeric));
        Ok(of_all_layers && self.layers.is_none() && !self.excluded)
    }
}

/// PEFT's rule: `name` is the path, or its end after a full stop.
fn is_at(path: &str, name: &str) -> bool {
    path.strip_suffix(name)
        .is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

/// Fails unless each target has tensors in these layers and in no other.
fn check_layers(places: &BTreeSet<(usize, Target)>, layers: &BTreeSet<usize>) -> Reason<()> {
    if let Some((layer, _)) = places.iter().find(|(layer, _)| !layers.contains(layer)) {
        return Err(format!(
            "layers_to_transform lacks layer {layer}, which has tensors"
        ));
    }
    let targets: BTreeSet<Target> = places.iter().map(|(_, target)| *target).collect();
    let mut wanted = layers
        .iter()
        .flat_map(|&layer| targets.iter().map(move |&target| (layer, target)));
    match wanted.find(|place| !places.contains(place)) {
        Some((layer, target)) => Err(format!(
            "layers_to_transform names layer {layer}, which has no tensor of {}",
            target.module()
        )),
        None => Ok(()),
    }
}

/// A rank in a pattern or in `r`; the tensors' own is compared with it later.
fn rank(key: &str, rank: f64) -> Reason<f64> {
    match rank >= 1.0 && rank.fract() == 0.0 {
        true => Ok(rank),
        false => Err(format!(
            "{key} has rank {rank}; it must be a whole number above 0"
        )),
    }
}

/// The entries of the file.
struct Keys(Ordered<Node>);

impl Keys {
    fn get(&self, key: &str) -> Option<&Node> {
        let entry = self.0 .0.iter().find(|(other, _)| other == key);
        entry.map(|(_, node)| node)
    }

    fn value(&self, key: &str) -> Option<&Value> {
        match self.get(key)? {
            Node::Other(Value::Null) => None,
            Node::Other(value) => Some(value),
            Node::Object(_) => None,
        }
    }

    fn typed<'a, T>(
        &'a self,
        key: &str,
        wanted: &str,
        get: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Reason<Option<T>> {
        let value = self.value(key);
        value
            .map(|value| get(value).ok_or_else(|| format!("{key} is not {wanted}")))
            .transpose()
    }

    fn text(&self, key: &str) -> Reason<Option<String>> {
        self.typed(key, "a text", |value| value.as_str().map(str::to_owned))
    }

    fn truth(&self, key: &str) -> Reason<bool> {
        let truth = self.typed(key, "true or false", Value::as_bool)?;
        Ok(truth.unwrap_or(false))
    }

    fn number(&self, key: &str) -> Reason<Option<f64>> {
        self.typed(key, "a number", Value::as_f64)
    }

    /// A key that is not read may only say what it says by default. Of those that are read, only
    /// the patterns are objects.
    fn check_kinds(&self) -> Reason<()> {
        let object = |(key, node): &&(String, Node)| {
            let read = READ.contains(&key.as_str()) && !key.ends_with("_pattern");
            read && matches!(node, Node::Object(_))
        };
        if let Some((key, _)) = self.0 .0.iter().find(object) {
            return Err(format!("{key} is an object"));
        }
        let known = |key: &str| READ.contains(&key) || WITHOUT_EFFECT.contains(&key);
        let set = |(key, node): &&(String, Node)| !known(key) && !is_neutral(node);
        match self.0 .0.iter().find(set) {
            Some((key, _)) => Err(format!("{key} is set, which is not supported")),
            None => Ok(()),
        }
    }

    fn check_start(&self) -> Reason<()> {
        const KEY: &str = "init_lora_weights";
        match self.value(KEY) {
            None | Some(Value::Bool(_)) => Ok(()),
            Some(Value::String(start)) if STARTS.contains(&start.as_str()) => Ok(()),
            Some(other) => Err(format!(
                "{KEY} is {other}, which changes the base model's weights; convert the adapter to \
                 plain LoRA"
            )),
        }
    }

    fn pattern(&self, key: &str, check: impl Fn(&str, f64) -> Reason<f64>) -> Reason<Pattern> {
        let entries = match self.get(key) {
            None | Some(Node::Other(Value::Null)) => return Ok(Pattern(Vec::new())),
            Some(Node::Object(entries)) => &entries.0,
            Some(Node::Other(_)) => return Err(format!("{key} is not an object")),
        };
        let entry = |(pattern, node): &(String, Node)| {
            let number = match node {
                Node::Other(value) => value.as_f64(),
                Node::Object(_) => None,
            };
            let number = number.ok_or_else(|| format!("{key}: {pattern} is not a number"))?;
            let number = check(key, number)?;
            // PEFT's own, in `get_pattern_key`.
            let regex = Regex::new(&format!(r"^(?:.*\.)?(?:{pattern})$"));
            let regex =
                regex.map_err(|_| format!("{key}: {pattern} is no pattern that is known"))?;
            Ok((regex, number))
        };
        entries
            .iter()
            .map(entry)
            .collect::<Reason<_>>()
            .map(Pattern)
    }

    fn targets(&self) -> Reason<Targets> {
        const KEY: &str = "target_modules";
        match self.value(KEY) {
            Some(Value::String(_)) => Ok(Targets::Rule),
            Some(Value::Array(names)) if !names.is_empty() => {
                let names = names.iter().map(|name| name.as_str().map(str::to_owned));
                let names: Option<_> = names.collect();
                let names =
                    names.ok_or_else(|| format!("{KEY} holds something that is no text"))?;
                Ok(Targets::Named(names))
            },
            _ => Err(format!(
                "{KEY} is missing, empty, or neither a list nor a text"
            )),
        }
    }

    fn layers(&self) -> Reason<Option<BTreeSet<usize>>> {
        const KEY: &str = "layers_to_transform";
        let layer = |value: &Value| {
            let layer = value.as_u64().and_then(|layer| usize::try_from(layer).ok());
            layer.ok_or_else(|| format!("{KEY} holds something that is no layer"))
        };
        match self.value(KEY) {
            None => Ok(None),
            Some(Value::Array(layers)) if layers.is_empty() => Ok(None),
            Some(Value::Array(layers)) => layers.iter().map(layer).collect::<Reason<_>>().map(Some),
            Some(one) => Ok(Some(BTreeSet::from([layer(one)?]))),
        }
    }
}

/// True of a value by which a key says nothing.
fn is_neutral(node: &Node) -> bool {
    match node {
        Node::Object(entries) => entries.0.is_empty(),
        Node::Other(value) => match value {
            Value::Null | Value::Bool(false) => true,
            Value::String(text) => text.is_empty(),
            Value::Array(values) => values.is_empty(),
            _ => false,
        },
    }
}

/// The file of an adapter. The first pair's rank and alpha count where no pattern says otherwise.
pub(super) fn of(adapter: &Adapter) -> Value {
    let mut pairs = adapter.pairs();
    let (first_rank, first_alpha) = pairs
        .next()
        .map_or((0, 0.0), |(_, _, pair)| (pair.rank, pair.alpha));
    let pattern = |differs: &dyn Fn(&Pair) -> Option<Value>| {
        let entries = adapter.pairs().filter_map(|(layer, target, pair)| {
            let path = format!("layers.{layer}.{}", target.module());
            Some((path, differs(pair)?))
        });
        Value::Object(entries.collect::<Map<_, _>>())
    };
    let targets: BTreeSet<String> = adapter
        .pairs()
        .map(|(layer, target, _)| match adapter.every_layer {
            true => target.name().to_owned(),
            false => format!("model.layers.{layer}.{}", target.module()),
        })
        .collect();
    json!({
        "alpha_pattern": pattern(&|pair| (pair.alpha != first_alpha).then(|| number(pair.alpha))),
        "auto_mapping": null,
        "base_model_name_or_path": adapter.origin.base_model,
        "bias": "none",
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_lora_weights": true,
        "layers_to_transform": null,
        "lora_alpha": number(first_alpha),
        "lora_dropout": 0.0,
        "modules_to_save": null,
        "peft_type": "LORA",
        "r": first_rank,
        "rank_pattern": pattern(&|pair| (pair.rank != first_rank).then(|| pair.rank.into())),
        "target_modules": targets,
        "task_type": "CAUSAL_LM",
        "use_dora": false,
        "use_rslora": adapter.rank_stabilised,
    })
}

/// A whole number without a fraction, as PEFT writes it.
fn number(x: f64) -> Value {
    let whole = x as i64;
    match whole as f64 == x {
        true => whole.into(),
        false => x.into(),
    }
}
