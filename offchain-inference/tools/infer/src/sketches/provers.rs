// SPDX-License-Identifier: Apache-2.0
//! Honest kernels, and cheats: ways to the hidden states of an answer.

use super::answers::Answer;
use crate::common::Failure;
use starling_engine::{
    backend::LocalBackend, tokenizer::TokenId, ActivationBits, Device, Hidden, Input,
    InstructionSet, LoadOptions, Model, Step, Trunk,
};
use starling_sketch::trace::Numerics;
use std::{fmt, ops::Range};

/// A way to compute a model as it should be.
pub(super) struct Kernel {
    pub device: Device,
    /// Of the device cpu.
    set: Option<InstructionSet>,
    bits: ActivationBits,
    threads: usize,
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.device)?;
        if let Some(set) = self.set {
            write!(f, " {set}")?;
        }
        write!(f, " {} bits", self.bits)
    }
}

impl Kernel {
    /// Options to load a model with.
    pub fn options(&self) -> LoadOptions {
        LoadOptions {
            threads: self.threads,
            instruction_set: self.set,
            activation_bits: self.bits,
            ..LoadOptions::default()
        }
    }

    /// The widths that a trace says.
    pub fn numerics(&self) -> Numerics {
        match self.bits {
            ActivationBits::Sixteen => Numerics::Wide,
            ActivationBits::Eight => Numerics::Narrow,
        }
    }
}

/// The kernels of some devices: both widths of activations, and on the device cpu these instruction
/// sets, or if none is named all that it has. Refuses those that this machine has not.
pub(super) fn kernels(
    devices: &[Device],
    sets: &[InstructionSet],
    threads: usize,
) -> Result<Vec<Kernel>, Failure> {
    if let Some(missing) = sets.iter().find(|set| !set.is_available()) {
        return Err(format!("this CPU has no {missing}; name other instruction sets").into());
    }
    let available = InstructionSet::ALL.into_iter().rev();
    let available = available.filter(|set| set.is_available());
    let sets: Vec<_> = if sets.is_empty() {
        available.map(Some).collect()
    } else {
        sets.iter().copied().map(Some).collect()
    };
    let mut kernels = vec![];
    for &device in devices {
        device.of_candle()?;
        let sets: &[Option<InstructionSet>] = match device {
            Device::Cpu => &sets,
            Device::Candle | Device::Cuda(_) => &[None],
        };
        for bits in [ActivationBits::Sixteen, ActivationBits::Eight] {
            kernels.extend(sets.iter().map(|&set| Kernel {
                device,
                set,
                bits,
                threads,
            }));
        }
    }
    Ok(kernels)
}

/// The hidden states from which an answer's tokens follow, behind the last layer: one prefill.
pub(super) fn rows<T: Trunk>(
    backend: &LocalBackend<T>,
    prompt: &[TokenId],
    answer: &[TokenId],
) -> Result<Hidden, Failure> {
    let tokens = read(prompt, answer);
    let hidden = backend.extend(&mut backend.trunk().session(), &tokens)?;
    last(&hidden, answer.len())
}

/// The tokens that a model reads to give an answer: all but its last one.
fn read(prompt: &[TokenId], answer: &[TokenId]) -> Vec<TokenId> {
    let said = answer.split_last().map_or(answer, |(_, said)| said);
    [prompt, said].concat()
}

/// The last `rows` rows.
fn last(hidden: &Hidden, rows: usize) -> Result<Hidden, Failure> {
    let width = hidden.width();
    let from = hidden.rows().saturating_sub(rows).saturating_mul(width);
    let rows = hidden.as_slice().get(from..).unwrap_or_default();
    Ok(Hidden::new(width, rows.to_vec())?)
}

/// A prover of answers by their number.
pub(super) type Prover<'a> = dyn Fn(usize, &Answer) -> Result<Hidden, Failure> + 'a;

/// Cheats with the model's own weights, by name.
pub(super) fn cheats<'a>(
    backend: &'a LocalBackend,
    answers: &'a [Answer],
) -> Vec<(String, Box<Prover<'a>>)> {
    let model = backend.model();
    let layers = model.config().layers;
    let mut cheats: Vec<(String, Box<Prover<'a>>)> = vec![];
    for left_out in [layers / 2, layers.saturating_sub(1)] {
        cheats.push((
            format!("layer {left_out} of {layers} left out"),
            Box::new(move |_, answer| {
                let tokens = read(&answer.prompt, &answer.tokens);
                let before = through(model, 0..left_out, &model.embed(&tokens)?)?;
                let hidden = through(model, left_out + 1..layers, &before)?;
                last(&hidden, answer.tokens.len())
            }),
        ));
    }
    cheats.push((
        "the next prompt".to_owned(),
        Box::new(move |number, answer| {
            let mut others = answers.iter().cycle().skip(number + 1);
            let other = others.next().unwrap_or(answer);
            rows(backend, &other.prompt, &answer.tokens)
        }),
    ));
    cheats.push((
        "the second half of the prompt".to_owned(),
        Box::new(move |_, answer| {
            let (_, half) = answer.prompt.split_at(answer.prompt.len() / 2);
            rows(backend, half, &answer.tokens)
        }),
    ));
    cheats
}

/// Hidden states through some layers of a new sequence.
fn through(model: &Model, layers: Range<usize>, input: &Hidden) -> Result<Hidden, Failure> {
    if layers.is_empty() {
        return Ok(input.clone());
    }
    let mut session = model.session();
    let mut step = [Step {
        session: &mut session,
        input: Input::Hidden(input),
    }];
    let outputs = model.forward_layers(layers, &mut step)?;
    outputs.into_iter().next().ok_or_else(|| "no output".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_reads_all_but_the_last_token() {
        assert_eq!(read(&[1, 2], &[3, 4]), [1, 2, 3]);
        let hidden = Hidden::new(1, vec![1.0, 2.0, 3.0]).unwrap();
        assert_eq!(last(&hidden, 2).unwrap().as_slice(), [2.0, 3.0]);
    }

    #[test]
    fn kernels_are_both_widths_of_every_set_and_device() {
        let best = InstructionSet::best();
        let sets = [best, InstructionSet::Scalar];
        let kernels = kernels(&[Device::Cpu, Device::Candle], &sets, 0).unwrap();
        let names: Vec<_> = kernels.iter().map(Kernel::to_string).collect();
        let golden = [
            format!("cpu {best} 16 bits"),
            "cpu scalar 16 bits".into(),
            format!("cpu {best} 8 bits"),
            "cpu scalar 8 bits".into(),
            "candle 16 bits".into(),
            "candle 8 bits".into(),
        ];
        assert_eq!(names, golden);
    }
}
