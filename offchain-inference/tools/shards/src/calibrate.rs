// SPDX-License-Identifier: Apache-2.0
//! `starling-shards calibrate`: measures the distance of honest servers and of cheating ones, and
//! compares both with the tolerances.

use crate::{
    even_spans, quantile, sorted,
    split::carry,
    table::{OutputArgs, Table},
    Source,
};
use starling_engine::{
    gguf::Gguf, requantise, ActivationBits, Hidden, Input, InstructionSet, LoadOptions, Model,
    Step, WeightFormat,
};
use starling_infer::{cancel_on_interrupt, item_bar, Failure, StoreArgs};
use starling_shards::{
    integrity::{difference, Difference, Tolerance},
    wire::WireFormat,
};
use std::{ops::Range, path::PathBuf};

/// Options of the measurement.
#[derive(clap::Args)]
pub struct Args {
    /// Model of the store, or path of a GGUF file (may be repeated)
    #[arg(short, long, required = true)]
    model: Vec<String>,
    /// Folder of the evaluation data; texts are HellaSwag's contexts
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Number of spans to cut the model into; each is compared
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    spans: u16,
    /// Number of texts to compare; each is one check
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    texts: u16,
    /// Maximum number of tokens of a text
    #[arg(long, default_value_t = 96, value_name = "N")]
    tokens: usize,
}

/// One span's exact inputs for one text, and the reference outputs.
struct Case {
    span: Range<usize>,
    input: Hidden,
    output: Hidden,
}

/// A server's outputs for a case.
type Server<'a> = dyn Fn(&Case) -> Result<Hidden, Failure> + 'a;

/// Prints the distances of honest and dishonest servers for each wire format.
pub fn run(store: &StoreArgs, output: &OutputArgs, args: Args) -> Result<(), Failure> {
    let cancel = cancel_on_interrupt()?;
    for name in &args.model {
        let source = Source::open(store, name)?;
        let model = source.load(&LoadOptions::default())?;
        let cases = cases(&source, &model, &args)?;
        let mut table = Table::new(format!("calibrate {}", source.label), 
            format!(
                "{}: largest difference of a row from the reference in each of {} checks ({} spans × \
                 {} texts); the tolerance is that of the wire",
                source.label,
                cases.len(),
                args.spans,
                args.texts,
            ),
            &["server", "wire", "relative: least", "median", "most", "1 − cos: least", "median", "most", "beyond the tolerance"],
        );
        let servers = servers(&source, &model)?;
        let bar = item_bar(source.label.clone(), servers.len() * cases.len());
        for (label, wires, server) in &servers {
            let mut differences = vec![];
            for case in &cases {
                if cancel.is_cancelled() {
                    return Err(starling_engine::backend::BackendError::Cancelled.into());
                }
                differences.push((case, server(case)?));
                bar.inc(1);
            }
            for &wire in *wires {
                let compared = differences
                    .iter()
                    .map(|(case, output)| compare_in(wire, &case.output, output))
                    .collect::<Result<Vec<_>, _>>()?;
                table.row(row(label, wire, &compared));
            }
        }
        bar.finish_and_clear();
        output.write(&table)?;
    }
    Ok(())
}

fn cases(source: &Source, model: &Model, args: &Args) -> Result<Vec<Case>, Failure> {
    let mut cases = vec![];
    for text in source.texts(&args.data, args.texts.into(), args.tokens)? {
        let mut input = model.embed(&text)?;
        for span in even_spans(model.config().layers, args.spans.into()) {
            let output = forward(model, span.clone(), &input)?;
            cases.push(Case {
                span,
                input: input.clone(),
                output: output.clone(),
            });
            input = output;
        }
    }
    Ok(cases)
}

fn forward(model: &Model, layers: Range<usize>, input: &Hidden) -> Result<Hidden, Failure> {
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

/// The difference of two outputs that both travel in `wire`.
fn compare_in(wire: WireFormat, a: &Hidden, b: &Hidden) -> Result<Difference, Failure> {
    let (a, b) = (carry(wire, a)?, carry(wire, b)?);
    difference(a.as_slice(), b.as_slice(), a.width())
        .ok_or_else(|| "the outputs have different shapes".into())
}

fn row(label: &str, wire: WireFormat, compared: &[Difference]) -> Vec<String> {
    let tolerance = Tolerance::of(wire);
    let beyond = compared.iter().filter(|d| !tolerance.admits(d)).count();
    let spread = |of: fn(&Difference) -> f64| {
        let values = sorted(compared.iter().map(of).collect());
        [0.0, 0.5, 1.0].map(|q| match quantile(&values, q) {
            0.0 => "0".to_owned(),
            value => format!("{value:.1e}"),
        })
    };
    let mut cells = vec![label.to_owned(), wire.to_string()];
    cells.extend(spread(|d| d.relative));
    cells.extend(spread(|d| d.cosine));
    cells.push(format!("{beyond} of {}", compared.len()));
    cells
}

/// Servers to compare with the reference, and their wire formats.
#[allow(clippy::type_complexity)]
fn servers<'a>(
    source: &'a Source,
    model: &'a Model,
) -> Result<Vec<(String, &'static [WireFormat], Box<Server<'a>>)>, Failure> {
    const EXACT: &[WireFormat] = &[WireFormat::F32];
    const FINEST_AND_COARSEST: &[WireFormat] = &[WireFormat::F32, WireFormat::Linear8Row];
    let mut servers: Vec<(String, &[WireFormat], Box<Server<'a>>)> = vec![];
    let mut loaded = |label: String, wires, options: LoadOptions| {
        let model = source.load(&options)?;
        servers.push((
            label,
            wires,
            Box::new(move |case: &Case| forward(&model, case.span.clone(), &case.input)),
        ));
        Ok::<_, Failure>(())
    };
    let options = LoadOptions::default;
    loaded(
        "honest: one thread".into(),
        EXACT,
        LoadOptions {
            threads: 1,
            ..options()
        },
    )?;
    for set in InstructionSet::ALL
        .into_iter()
        .filter(|set| set.is_available())
    {
        let options = LoadOptions {
            instruction_set: Some(set),
            ..options()
        };
        loaded(format!("honest: {set}"), EXACT, options)?;
    }
    let eight = LoadOptions {
        activation_bits: ActivationBits::Eight,
        ..options()
    };
    loaded(
        "honest: activations of 8 bits".into(),
        &WireFormat::ALL,
        eight,
    )?;
    servers.push((
        "honest: row by row".into(),
        EXACT,
        Box::new(move |case| {
            let mut session = model.session();
            let mut rows = vec![];
            for row in case.input.as_slice().chunks_exact(case.input.width()) {
                let row = Hidden::new(case.input.width(), row.to_vec())?;
                let mut step = [Step {
                    session: &mut session,
                    input: Input::Hidden(&row),
                }];
                for output in model.forward_layers(case.span.clone(), &mut step)? {
                    rows.extend(output.into_vec());
                }
            }
            Ok(Hidden::new(case.input.width(), rows)?)
        }),
    ));
    for wire in WireFormat::ALL.into_iter().skip(1) {
        servers.push((
            format!("honest: output in {wire}, compared with exact"),
            EXACT,
            Box::new(move |case| Ok(carry(wire, &case.output)?)),
        ));
        servers.push((
            format!("honest: input and output in {wire}, compared with exact"),
            EXACT,
            Box::new(move |case| {
                let output = forward(model, case.span.clone(), &carry(wire, &case.input)?)?;
                Ok(carry(wire, &output)?)
            }),
        ));
    }
    let mut cheat = |label: &str, server: Box<Server<'a>>| {
        servers.push((format!("cheat: {label}"), FINEST_AND_COARSEST, server));
    };
    cheat(
        "first layer left out",
        Box::new(move |case| forward(model, case.span.start + 1..case.span.end, &case.input)),
    );
    cheat(
        "last layer left out",
        Box::new(move |case| forward(model, case.span.start..case.span.end - 1, &case.input)),
    );
    cheat(
        "input given back",
        Box::new(move |case| Ok(case.input.clone())),
    );
    cheat(
        "no attention to earlier tokens",
        Box::new(move |case| {
            let mut rows = vec![];
            for row in case.input.as_slice().chunks_exact(case.input.width()) {
                let row = Hidden::new(case.input.width(), row.to_vec())?;
                rows.extend(forward(model, case.span.clone(), &row)?.into_vec());
            }
            Ok(Hidden::new(case.input.width(), rows)?)
        }),
    );
    let coarse = coarse(source)?;
    cheat(
        "weights of 4 bits with a scale every 32 (Q4_0)",
        Box::new(move |case| forward(&coarse, case.span.clone(), &case.input)),
    );
    Ok(servers)
}

/// The model with cheaper weights, as a dishonest server might use.
fn coarse(source: &Source) -> Result<Model, Failure> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("coarse.gguf");
    requantise(&source.gguf, &path, WeightFormat::Q4_0)?;
    Ok(Model::load_from(
        &Gguf::open(&path)?,
        &LoadOptions::default(),
    )?)
}
