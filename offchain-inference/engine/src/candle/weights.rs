// SPDX-License-Identifier: Apache-2.0
//! Weights as candle's tensors on a device.

use candle_core::{
    quantized::{ggml_file::qtensor_from_ggml, QMatMul},
    Device, Tensor,
};

use crate::{
    gguf::{Entry, TensorReader},
    kernels::Buffer,
    model::weights::Format,
    ActivationBits, Result,
};

/// Weights on a device: as the file has them, or expanded to f32.
pub(super) struct OnDevice {
    device: Device,
    expand: bool,
}

impl OnDevice {
    /// candle multiplies packed weights with activations of eight bits. It knows no other width
    /// than that and floats.
    pub fn new(device: Device, activation_bits: ActivationBits) -> Self {
        Self {
            device,
            expand: activation_bits == ActivationBits::Sixteen,
        }
    }
}

impl Format for OnDevice {
    type Matrix = QMatMul;
    type Vector = Tensor;

    fn matrix(
        &mut self,
        reader: &mut TensorReader,
        entry: &Entry,
        place: impl Fn(usize) -> usize,
    ) -> Result<QMatMul> {
        let row_bytes = entry.row_bytes();
        let mut bytes = Buffer::<u8>::zeroed(entry.rows * row_bytes)?;
        reader.rows(entry, 0, &mut bytes)?;
        if (0..entry.rows).any(|row| place(row) != row) {
            let mut placed = Buffer::<u8>::zeroed(bytes.len())?;
            for (row, source) in bytes.chunks_exact(row_bytes).enumerate() {
                let start = place(row) * row_bytes;
                placed[start..start + row_bytes].copy_from_slice(source);
            }
            bytes = placed;
        }
        let shape = vec![entry.rows, entry.columns];
        let matrix = qtensor_from_ggml(entry.dtype, &bytes, shape, &self.device)?;
        Ok(if self.expand {
            QMatMul::Tensor(matrix.dequantize(&self.device)?)
        } else {
            QMatMul::from_qtensor(matrix)?
        })
    }

    fn vector(&mut self, values: Vec<f32>) -> Result<Tensor> {
        let len = values.len();
        Ok(Tensor::from_vec(values, len, &self.device)?)
    }
}
