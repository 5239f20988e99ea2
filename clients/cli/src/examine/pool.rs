// SPDX-License-Identifier: Apache-2.0
//! A pool of questions with known answers: a file, its rules, and its Merkle tree.
//!
//! No error repeats a question or a key, because they are secret until they are revealed.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
};

use binary_merkle_tree::{merkle_proof_raw, merkle_root_raw};
use serde::{de::DeserializeOwned, Deserialize, Serialize};
use sp_arithmetic::Permill;
use sp_core::Blake2Hasher;
use starling_client::{answers, text::printable, Error, Result};
use starling_primitives::{
    choice::{leaf, Form, Key, MAX_BYTES},
    H256,
};
use unicode_security::{skeleton, MixedScript};

/// The maximum length of a line in bytes.
const MAX_LINE: usize = 256 * 1024;
/// The maximum length of a question in bytes.
const MAX_QUESTION: usize = 4096;
/// The maximum number of questions in a file.
const MAX_QUESTIONS: usize = 1_000_000;
/// The maximum number of keys of a question.
const MAX_KEYS: usize = 4;
/// The number of options that a question can have: their letters are `a` to `j`.
const OPTIONS: std::ops::RangeInclusive<u32> = 2..=10;
/// The share of right answers by chance where no options are given.
const CHANCE: f64 = 0.05;
/// The greatest share of right answers by chance, that of two options, in millionths.
const MOST_CHANCE: u32 = 500_000;

/// A line of a pool.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// The question, as agents get it.
    pub question: String,
    /// The form of the answers.
    pub form: String,
    /// The keys of the right answer.
    pub keys: Vec<String>,
    /// The number of options of a question of the form `choice`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<u32>,
    /// The share of right answers by chance of a question of another form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chance: Option<f64>,
    /// Whether a program made the question.
    #[serde(default, skip_serializing_if = "is_false")]
    pub generated: bool,
}

fn is_false(value: &bool) -> bool {
    !*value
}

/// An ordinary question.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OrdinaryLine {
    question: String,
    #[serde(default = "free")]
    form: String,
}

fn free() -> String {
    answers::name(Form::Free).into()
}

/// A question without a known answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordinary {
    /// The question.
    pub prompt: String,
    /// The form of the answers.
    pub form: Form,
}

/// A question with a known answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The question.
    pub prompt: String,
    /// The form of the answers.
    pub form: Form,
    /// The keys of the right answer.
    pub keys: Vec<Key>,
    /// The share of right answers by chance.
    pub chance: Permill,
    /// Whether a program made the question.
    pub generated: bool,
}

impl Question {
    /// The hashes of the keys.
    pub fn hashes(&self) -> Vec<H256> {
        self.keys.iter().map(Key::hash).collect()
    }
}

/// A pool. The index of a question is its line, counted from 0.
#[derive(Debug)]
pub struct Pool(Vec<Question>);

impl Pool {
    /// Reads a pool, and checks every line.
    pub fn read(path: &Path) -> Result<Self> {
        let mut seen = BTreeSet::new();
        let questions = read(path, |line: Line| {
            let question = checked(line)?;
            new(&mut seen, &question.prompt)?;
            Ok(question)
        })?;
        Ok(Self(questions))
    }

    /// The questions.
    pub fn questions(&self) -> &[Question] {
        &self.0
    }

    /// The question of this index.
    pub fn question(&self, index: u32) -> Option<&Question> {
        self.0.get(usize::try_from(index).ok()?)
    }

    /// The number of questions.
    pub fn count(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// Whether a program made one of the questions.
    pub fn is_generated(&self) -> bool {
        self.0.iter().any(|question| question.generated)
    }

    /// The root of the Merkle tree, by which the chain knows the pool.
    pub fn root(&self) -> H256 {
        merkle_root_raw::<Blake2Hasher, _>(self.leaves())
    }

    /// The proof that the question of this index is in the pool. `None` if there is no such index.
    pub fn proof(&self, index: u32) -> Option<Vec<H256>> {
        // The library panics beyond the last leaf.
        self.question(index)?;
        Some(merkle_proof_raw::<Blake2Hasher, _>(self.leaves(), index).proof)
    }

    fn leaves(&self) -> Vec<H256> {
        let numbered = (0..self.count()).zip(&self.0);
        numbered
            .map(|(index, question)| {
                let prompt = question.prompt.as_bytes();
                let keys = question.hashes();
                leaf(index, prompt, question.form, question.chance, &keys)
            })
            .collect()
    }
}

/// Reads ordinary questions.
pub fn ordinary(path: &Path) -> Result<Vec<Ordinary>> {
    read(path, |line: OrdinaryLine| {
        is_question(&line.question)?;
        Ok(Ordinary {
            form: form(&line.form)?,
            prompt: line.question,
        })
    })
}

/// Reads a file with an object of JSON on each line. Fails with the first line that cannot be used.
fn read<L: DeserializeOwned, T>(
    path: &Path,
    mut check: impl FnMut(L) -> Result<T, String>,
) -> Result<Vec<T>> {
    let file = File::open(path).map_err(Error::io(path.display()))?;
    let mut file = BufReader::new(file);
    let mut all = vec![];
    loop {
        let number = all.len().saturating_add(1);
        let wrong = |what: &str| {
            let path = path.display();
            Error::Usage(format!("{path}, line {number}: {what}"))
        };
        let mut line = vec![];
        file.by_ref()
            .take(MAX_LINE as u64)
            .read_until(b'\n', &mut line)
            .map_err(Error::io(path.display()))?;
        if line.is_empty() && all.is_empty() {
            return Err(wrong("the file is empty; write one question a line"));
        }
        if line.is_empty() {
            return Ok(all);
        }
        if all.len() >= MAX_QUESTIONS {
            return Err(wrong("a file has at most a million questions"));
        }
        if line.len() >= MAX_LINE && !line.ends_with(b"\n") {
            return Err(wrong("the line is too long; it has at most 256 KiB"));
        }
        // The library's words repeat parts of the line.
        let parsed = serde_json::from_slice(&line).map_err(|error| {
            wrong(&format!(
                "this is no question, from column {} on; see `starling examine --help`",
                error.column()
            ))
        })?;
        all.push(check(parsed).map_err(|fault| wrong(&fault))?);
    }
}

/// Checks a line of a pool.
fn checked(line: Line) -> Result<Question, String> {
    is_question(&line.question)?;
    let form = form(&line.form)?;
    if !form.is_counted() {
        return Err("free answers have no keys; the form is number, choice or short".into());
    }
    let chance = chance(form, line.options, line.chance)?;
    if line.keys.is_empty() || line.keys.len() > MAX_KEYS {
        return Err(format!(
            "{} keys; a question has 1 to {MAX_KEYS}",
            line.keys.len()
        ));
    }
    let mut keys: Vec<Key> = vec![];
    for (number, text) in (1u32..).zip(&line.keys) {
        let key = key(text, form, line.options).map_err(|fault| format!("key {number} {fault}"))?;
        for (other, earlier) in (1u32..).zip(&keys) {
            if key == *earlier {
                return Err(format!("the keys {other} and {number} are the same"));
            }
            if look_alike(key.as_str(), earlier.as_str()) {
                return Err(format!(
                    "the keys {other} and {number} look alike, but have different letters; \
                     keep the one that agents write"
                ));
            }
        }
        keys.push(key);
    }
    Ok(Question {
        prompt: line.question,
        form,
        keys,
        chance,
        generated: line.generated,
    })
}

fn is_question(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("the question is empty".into());
    }
    if text.len() > MAX_QUESTION {
        return Err(format!(
            "the question has {} bytes; the chain takes at most {MAX_QUESTION}",
            text.len()
        ));
    }
    Ok(())
}

fn form(name: &str) -> Result<Form, String> {
    answers::parse(name)
        .ok_or_else(|| "the form is not known; it is free, number, choice or short".into())
}

/// Notes a question. Fails if it is in the pool already.
fn new(seen: &mut BTreeSet<String>, question: &str) -> Result<(), String> {
    // Agents know an answer from then on, whatever the spaces and the case are.
    let plain: Vec<_> = question.split_whitespace().collect();
    match seen.insert(plain.join(" ").to_lowercase()) {
        true => Ok(()),
        false => Err("an earlier line has the same question".into()),
    }
}

/// The share of right answers by chance.
fn chance(form: Form, options: Option<u32>, chance: Option<f64>) -> Result<Permill, String> {
    if form == Form::Choice {
        let options = options.filter(|options| OPTIONS.contains(options));
        return match (options, chance) {
            (Some(options), None) => Ok(Permill::from_rational(1, options)),
            (Some(_), Some(_)) => Err("a choice has `options` and no `chance`".into()),
            (None, _) => Err("a choice needs `options`, their number from 2 to 10".into()),
        };
    }
    if options.is_some() {
        return Err("only a choice has `options`; give the `chance`".into());
    }
    let millionths = (chance.unwrap_or(CHANCE) * 1e6).round() as u32;
    if !(1..=MOST_CHANCE).contains(&millionths) {
        return Err("the chance is above 0 and at most 0.5".into());
    }
    Ok(Permill::from_parts(millionths))
}

/// Checks a key: it has the form, and a response with this answer gets it.
fn key(text: &str, form: Form, options: Option<u32>) -> Result<Key, String> {
    if text.len() > MAX_BYTES {
        return Err(format!(
            "has {} bytes; a key has at most {MAX_BYTES}",
            text.len()
        ));
    }
    let other = "is not what the chain reads from such an answer; write it in lower case, without \
                 marks at its ends and commas between digits";
    let key = Key::of(text)
        .filter(|key| key.as_str() == text)
        .ok_or(other)?;
    if Key::of(&format!("Answer: {text}")).as_ref() != Some(&key) {
        return Err(other.into());
    }
    if printable(text) != text || text.contains(['\n', '\t', '\u{200c}', '\u{200d}']) {
        return Err("has characters that nobody sees".into());
    }
    match form {
        Form::Number if !is_number(text) => {
            return Err(
                "is not a plain number; write digits with a sign and a point at most".into(),
            )
        },
        Form::Choice if !is_option(text, options) => {
            return Err("is not the letter of one of the options".into())
        },
        _ => {},
    }
    if !text.is_single_script() {
        return Err("mixes letters of several scripts".into());
    }
    if !text.is_ascii() && skeleton(text).all(|letter| letter.is_ascii()) {
        return Err(
            "looks like plain Latin letters, but has others that agents do not write".into(),
        );
    }
    Ok(key)
}

/// Whether two different keys look the same. Plain letters that are somewhat alike do not count.
fn look_alike(left: &str, right: &str) -> bool {
    let is_plain = left.is_ascii() && right.is_ascii();
    !is_plain && skeleton(left).eq(skeleton(right))
}

/// Whether a key is a number in digits: `-3`, `12`, `0.5`, `.5`.
fn is_number(key: &str) -> bool {
    let unsigned = key.strip_prefix(['-', '+']).unwrap_or(key);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !unsigned.is_empty() && !fraction.is_empty() && are_digits(whole) && are_digits(fraction)
}

/// Whether a key is the letter of one of so many options.
fn is_option(key: &str, options: Option<u32>) -> bool {
    let mut letters = ('a'..='j').zip(1u32..);
    let place = letters.find(|(letter, _)| key.strip_prefix(*letter) == Some(""));
    place.is_some_and(|(_, place)| options.is_some_and(|options| place <= options))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use binary_merkle_tree::{verify_proof, Leaf};
    use serde_json::{json, Value};

    use super::*;

    fn number() -> Value {
        json!({ "question": "What is 2 + 2?", "form": "number", "keys": ["4"] })
    }

    /// A good line with `changes`.
    fn line(changes: Value) -> Value {
        let mut line = number();
        for (field, value) in changes.as_object().unwrap() {
            line[field] = value.clone();
        }
        line
    }

    fn file(lines: &[String]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        for line in lines {
            writeln!(file, "{line}").unwrap();
        }
        file
    }

    fn pool(lines: &[Value]) -> Result<Pool> {
        let lines: Vec<_> = lines.iter().map(Value::to_string).collect();
        Pool::read(file(&lines).path())
    }

    #[test]
    fn every_question_is_proven_to_be_in_the_pool() {
        for count in 1..10 {
            let lines: Vec<_> = (0..count)
                .map(|index| line(json!({ "question": format!("What is {index} + 1?") })))
                .collect();
            let pool = pool(&lines).unwrap();
            assert_eq!(pool.count(), count);
            for (index, leaf) in (0..).zip(pool.leaves()) {
                let proof = pool.proof(index).unwrap();
                let root = pool.root();
                let leaf = Leaf::Hash(leaf);
                assert!(verify_proof::<Blake2Hasher, _, _>(
                    &root, proof, count, index, leaf
                ));
            }
            assert_eq!(pool.proof(count), None);
        }
    }

    #[test]
    fn the_root_binds_question_form_keys_and_chance() {
        let choice = json!({ "form": "choice", "keys": ["b"], "options": 4 });
        let lines = [
            json!({}),
            json!({ "question": "What is 1 + 3?" }),
            json!({ "form": "short" }),
            json!({ "keys": ["4", "four"], "form": "short" }),
            json!({ "keys": ["5"] }),
            json!({ "chance": 0.5 }),
            choice,
        ];
        let roots: BTreeSet<_> = lines
            .iter()
            .map(|changes| pool(&[line(changes.clone())]).unwrap().root())
            .collect();
        assert_eq!(roots.len(), lines.len());
    }

    #[test]
    fn chances_follow_from_options() {
        let of = |changes: Value| pool(&[line(changes)]).unwrap().0[0].chance;
        assert_eq!(of(json!({})), Permill::from_percent(5));
        assert_eq!(of(json!({ "chance": 0.25 })), Permill::from_percent(25));
        let choice = json!({ "form": "choice", "keys": ["b"], "options": 4 });
        assert_eq!(of(choice), Permill::from_percent(25));
    }

    #[test]
    fn bad_lines_are_refused_by_number_and_never_repeated() {
        let secret = "K3Y";
        let four_and_one = json!(["1", "2", "3", "4", "5"]);
        for (changes, words) in [
            (json!({ "question": " " }), "the question is empty"),
            (json!({ "question": "x".repeat(5_000) }), "5000 bytes"),
            (json!({ "form": "essay" }), "the form is not known"),
            (json!({ "form": "free" }), "free answers have no keys"),
            (json!({ "keys": [] }), "0 keys"),
            (json!({ "keys": four_and_one }), "5 keys"),
            (json!({ "keys": ["4", "4"] }), "1 and 2 are the same"),
            (json!({ "keys": "4" }), "column"),
            (json!({ "key": [secret] }), "column"),
            (
                json!({ "keys": [secret], "form": "short" }),
                "key 1 is not what",
            ),
            (
                json!({ "keys": [""], "form": "short" }),
                "key 1 is not what",
            ),
            (
                json!({ "keys": ["answer: 4"], "form": "short" }),
                "key 1 is not what",
            ),
            (json!({ "keys": ["1,234"] }), "key 1 is not what"),
            (json!({ "keys": ["four"] }), "key 1 is not a plain number"),
            (json!({ "keys": ["1-2"] }), "key 1 is not a plain number"),
            (json!({ "keys": ["4"], "options": 4 }), "only a choice has"),
            (json!({ "chance": 0 }), "the chance is above 0"),
            (json!({ "chance": 0.6 }), "the chance is above 0"),
            (
                json!({ "form": "choice", "keys": ["b"] }),
                "needs `options`",
            ),
            (
                json!({ "form": "choice", "keys": ["b"], "options": 11 }),
                "needs `options`",
            ),
            (
                json!({ "form": "choice", "keys": ["e"], "options": 4 }),
                "is not the letter",
            ),
            (
                json!({ "form": "choice", "keys": ["ab"], "options": 4 }),
                "is not the letter",
            ),
        ] {
            let bad = line(changes.clone());
            let good = line(json!({ "question": "What is 3 + 1?" }));
            let error = pool(&[good, bad]).unwrap_err().to_string();
            assert!(error.contains("line 2"), "{changes}: {error}");
            assert!(error.contains(words), "{changes}: {error}");
            assert!(!error.contains(secret), "{error}");
            assert!(error.len() < 400, "{error}");
        }
        assert!(pool(&[number(), number()])
            .unwrap_err()
            .to_string()
            .contains("line 2: an earlier line"));
        assert!(pool(&[]).unwrap_err().to_string().contains("is empty"));
    }

    #[test]
    fn keys_that_deceive_the_eye_are_refused() {
        for (keys, words) in [
            (json!(["\u{441}at"]), "mixes letters of several scripts"),
            (
                json!(["\u{441}\u{43e}\u{441}\u{430}"]),
                "looks like plain Latin",
            ),
            (
                json!(["coca", "\u{441}\u{43e}\u{441}\u{430}"]),
                "looks like plain Latin",
            ),
            (json!(["zero\u{200b}one"]), "nobody sees"),
            (json!(["x\u{202e}y"]), "nobody sees"),
            // An accent in one character, and the same as two.
            (json!(["\u{f6}l", "o\u{308}l"]), "look alike"),
        ] {
            let error = pool(&[line(json!({ "form": "short", "keys": keys }))]).unwrap_err();
            assert!(error.to_string().contains(words), "{keys}: {error}");
        }
        for keys in [
            json!(["moskau", "\u{43c}\u{43e}\u{441}\u{43a}\u{432}\u{430}"]),
            json!(["modem", "modern"]),
            json!(["\u{f6}l"]),
            json!(["\u{6771}\u{4eac}"]),
        ] {
            let good = line(json!({ "form": "short", "keys": keys }));
            pool(&[good]).unwrap();
        }
    }

    #[test]
    fn a_key_or_a_line_of_any_length_is_refused_in_few_words() {
        let long = "7".repeat(64 * 1024);
        let error = pool(&[line(json!({ "keys": [long] }))]).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("65536 bytes"), "{error}");
        assert!(error.len() < 200, "{error}");
        let endless = file(&["x".repeat(300 * 1024)]);
        let error = Pool::read(endless.path()).unwrap_err().to_string();
        assert!(error.contains("too long"), "{error}");
    }

    #[test]
    fn ordinary_questions_are_in_any_form() {
        let lines = [
            json!({ "question": "Why?" }).to_string(),
            json!({ "question": "How many?", "form": "number" }).to_string(),
        ];
        let read = ordinary(file(&lines).path()).unwrap();
        let forms: Vec<_> = read.iter().map(|question| question.form).collect();
        assert_eq!(forms, [Form::Free, Form::Number]);
        let bad = json!({ "question": "Why?", "form": "essay" }).to_string();
        let error = ordinary(file(&[bad]).path()).unwrap_err().to_string();
        assert!(error.contains("line 1: the form is not known"), "{error}");
    }

    #[test]
    fn numbers_are_plain() {
        for good in ["0", "42", "-3", "+3", "0.5", ".5", "007"] {
            assert!(is_number(good), "{good}");
        }
        for bad in ["", "-", ".", "5.", "1e5", "1.2.3", "0x1", "٣", "1 2"] {
            assert!(!is_number(bad), "{bad}");
        }
    }
}
