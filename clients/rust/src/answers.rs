// SPDX-License-Identifier: Apache-2.0
//! The form of answers that a request asks for, and the commitments of requests.

use starling_primitives::{choice::Form, H256};
use subxt::dynamic::Value;

use crate::{Error, Result};

/// All forms.
pub const FORMS: [Form; 4] = [Form::Free, Form::Number, Form::Choice, Form::Short];

/// The form of answers that a request declares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answers {
    /// Nothing. Each response is an answer of its own, and equation (3) chooses.
    #[default]
    Free,
    /// Their form. Equal answers are counted, unless the form is [`Form::Free`].
    Declared {
        /// The form.
        form: Form,
        /// The commitment to a known answer, or 32 random bytes. Nobody can tell which.
        commitment: H256,
    },
}

impl Answers {
    /// Their form.
    pub fn form(&self) -> Form {
        match self {
            Self::Free => Form::Free,
            Self::Declared { form, .. } => *form,
        }
    }

    /// Answers of this form. Only a form in which equal answers are counted is declared.
    pub fn of(form: Form) -> Result<Self> {
        match form.is_counted() {
            true => Self::declared(form),
            false => Ok(Self::Free),
        }
    }

    /// Answers of this form, with a commitment to nothing. An examiner declares free answers, too:
    /// the chain counts its requests by it.
    pub fn declared(form: Form) -> Result<Self> {
        Ok(Self::Declared {
            form,
            commitment: H256(random()?),
        })
    }
}

/// 32 bytes of the system's randomness.
pub fn random() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::io("the system's randomness")(error.into()))?;
    Ok(bytes)
}

/// A form as an argument of a call.
pub(crate) fn value(form: Form) -> Value {
    Value::unnamed_variant(format!("{form:?}"), [])
}

/// The name of a form, in lower case.
pub fn name(form: Form) -> &'static str {
    match form {
        Form::Free => "free",
        Form::Number => "number",
        Form::Choice => "choice",
        Form::Short => "short",
    }
}

/// The form of this name.
pub fn parse(text: &str) -> Option<Form> {
    FORMS.into_iter().find(|form| name(*form) == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_found_by_its_name_alone() {
        for form in FORMS {
            assert_eq!(parse(name(form)), Some(form));
        }
        for other in ["", "Number", "numbers", " free", "ｆree"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn only_declared_answers_have_a_commitment_and_no_two_have_the_same() {
        assert_eq!(Answers::of(Form::Free).unwrap(), Answers::Free);
        for form in FORMS {
            let declared = || Answers::declared(form).unwrap();
            assert_ne!(declared(), declared());
        }
    }
}
