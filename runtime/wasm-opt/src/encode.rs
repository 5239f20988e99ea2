// SPDX-License-Identifier: Apache-2.0
//! Encodes a module as short as possible, without debug sections.

use wasm_encoder::reencode::{utils, Error, Reencode};
use wasmparser::{CustomSectionReader, Parser, Validator, WasmFeatures};

use crate::OptimizationError;

/// The shortest encoding of `module`, without its debug sections.
///
/// # Errors
/// Fails if `module` is not a module of WebAssembly's first version.
pub fn compact(module: &[u8]) -> Result<Vec<u8>, OptimizationError> {
    Validator::new_with_features(WasmFeatures::WASM1).validate_all(module)?;
    let mut compact = wasm_encoder::Module::new();
    Compactor
        .parse_core_module(&mut compact, Parser::new(0), module)
        .map_err(|error| OptimizationError::Encode(error.to_string()))?;
    Ok(compact.finish())
}

struct Compactor;

impl Reencode for Compactor {
    type Error = std::convert::Infallible;

    fn parse_custom_section(
        &mut self,
        module: &mut wasm_encoder::Module,
        section: CustomSectionReader<'_>,
    ) -> Result<(), Error<Self::Error>> {
        if section.name().starts_with(".debug") {
            return Ok(());
        }
        utils::parse_custom_section(self, module, section)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module with a function whose body is `body`.
    fn module(body: &[u8]) -> Vec<u8> {
        let mut module = b"\0asm\x01\0\0\0".to_vec();
        let mut section = |id: u8, contents: &[u8]| {
            module.push(id);
            module.push(contents.len().try_into().unwrap());
            module.extend_from_slice(contents);
        };
        // A type from i32 to i32, and a function of it.
        section(1, &[1, 0x60, 1, 0x7f, 1, 0x7f]);
        section(3, &[1, 0]);
        let mut code = vec![1, body.len().saturating_add(2).try_into().unwrap(), 0];
        code.extend_from_slice(body);
        code.push(0x0b);
        section(10, &code);
        section(0, b"\x06.debugDWARF");
        section(0, b"\x0fruntime_versionV");
        // The function is called f.
        section(0, &[4, b'n', b'a', b'm', b'e', 1, 4, 1, 0, 1, b'f']);
        module
    }

    fn customs(module: &[u8]) -> Vec<String> {
        Parser::new(0)
            .parse_all(module)
            .filter_map(|payload| match payload.unwrap() {
                wasmparser::Payload::CustomSection(section) => Some(section.name().into()),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn debug_sections_go_and_all_others_stay() {
        let compact = compact(&module(&[0x20, 0])).unwrap();
        assert_eq!(customs(&compact), ["runtime_version", "name"]);
        Validator::new_with_features(WasmFeatures::WASM1)
            .validate_all(&compact)
            .unwrap();
    }

    #[test]
    fn numbers_that_the_linker_padded_are_written_short() {
        let padded = module(&[0x20, 0x80, 0x80, 0x80, 0x80, 0]);
        assert_eq!(
            compact(&padded).unwrap(),
            compact(&module(&[0x20, 0])).unwrap()
        );
    }

    #[test]
    fn a_compact_module_stays_as_it_is() {
        let once = compact(&module(&[0x20, 0])).unwrap();
        assert_eq!(compact(&once).unwrap(), once);
    }

    #[test]
    fn an_instruction_that_extends_a_sign_is_refused() {
        let error = compact(&module(&[0x20, 0, 0xc0])).unwrap_err();
        assert!(error.to_string().contains("sign extension"), "{error}");
    }

    #[test]
    fn bytes_that_are_no_module_are_refused() {
        assert!(compact(b"not a module").is_err());
    }
}
