// SPDX-License-Identifier: Apache-2.0
//! Kinds of sketches, their rows and values, and the chunks of an answer (section 1).

use crate::sketch::VALUES;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::ops::Range;
use scale_info::TypeInfo;

/// Positions of a full chunk of an answer.
pub const CHUNK: u32 = 32;

/// The rows that a sketch is of.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub enum Kind {
    /// Hidden states of an answer behind the final norm: at most 32 rows, projections of rows that
    /// are scaled to one length.
    #[codec(index = 0)]
    Answer,
    /// Hidden states at the end of a span: at most 16 rows, projections as of an answer, and last
    /// of each row its level.
    #[codec(index = 1)]
    Span,
    /// Distributions over the vocabulary: at most 32 rows, projections of the square roots of the
    /// probabilities.
    #[codec(index = 2)]
    Distribution,
}

impl Kind {
    /// The most rows of a sketch of this kind.
    pub const fn most_rows(self) -> usize {
        match self {
            Self::Answer | Self::Distribution => 32,
            Self::Span => 16,
        }
    }
}

/// A kind and a number of rows: the meaning of each of the 128 values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    kind: Kind,
    rows: usize,
}

impl Layout {
    /// A full chunk of an answer.
    pub const ANSWER: Self = Self {
        kind: Kind::Answer,
        rows: 32,
    };

    /// Distributions at 32 positions.
    pub const DISTRIBUTION: Self = Self {
        kind: Kind::Distribution,
        rows: 32,
    };

    /// Sixteen rows of a span.
    pub const SPAN: Self = Self {
        kind: Kind::Span,
        rows: 16,
    };

    /// `rows` rows of a kind; `None` unless they are a power of two and at most
    /// [`Kind::most_rows`].
    pub const fn new(kind: Kind, rows: usize) -> Option<Self> {
        if rows.is_power_of_two() && rows <= kind.most_rows() {
            Some(Self { kind, rows })
        } else {
            None
        }
    }

    /// The layout with the most rows of which there are `available`; `None` if there is none.
    pub fn largest(kind: Kind, available: usize) -> Option<Self> {
        [32, 16, 8, 4, 2, 1]
            .into_iter()
            .filter(|&rows| rows <= available)
            .find_map(|rows| Self::new(kind, rows))
    }

    /// The kind.
    pub const fn kind(self) -> Kind {
        self.kind
    }

    /// Rows: a power of two.
    pub const fn rows(self) -> usize {
        self.rows
    }

    /// Values of a row, its level among them: 128 / rows.
    pub const fn values(self) -> usize {
        match VALUES.checked_div(self.rows) {
            Some(values) => values,
            None => 0,
        }
    }

    /// Projections of a row. They come first; a level may follow.
    pub const fn projections(self) -> usize {
        match self.kind {
            Kind::Span => self.values().saturating_sub(1),
            Kind::Answer | Kind::Distribution => self.values(),
        }
    }
}

/// The chunks of an answer's generated positions, each with one sketch.
///
/// From 32 positions on all chunks have 32, and the last one ends with the answer, so that it may
/// share positions with the one before. A shorter answer is one chunk: its last positions, as many
/// as the greatest power of two allows. The positions before these are in no sketch.
pub fn chunks(positions: u32) -> impl Iterator<Item = Range<u32>> {
    let full = positions >= CHUNK;
    let rows = if full {
        CHUNK
    } else {
        positions
            .checked_ilog2()
            .and_then(|log| 1u32.checked_shl(log))
            .unwrap_or(0)
    };
    let last = positions.saturating_sub(rows);
    let count = if full {
        positions.div_ceil(CHUNK)
    } else {
        rows.min(1)
    };
    (0..count).map(move |chunk| {
        let start = if full {
            chunk.saturating_mul(CHUNK).min(last)
        } else {
            last
        };
        start..start.saturating_add(rows)
    })
}
