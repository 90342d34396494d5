//! The parameters a kernel declares in its PTX, to check a launch against.

use std::collections::HashMap;

/// A kernel's parameter. PTX does not tell a pointer from a 64-bit integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Wide,
    U32,
    F32,
}

/// The parameters of each entry point of a module.
pub(super) fn signatures(ptx: &str) -> HashMap<String, Vec<Kind>> {
    let mut found = HashMap::new();
    for entry in ptx.split(".entry ").skip(1) {
        let Some((name, rest)) = entry.split_once('(') else {
            continue;
        };
        let parameters = rest.split_once(')').map_or("", |(inside, _)| inside);
        let kinds = parameters.split(',').filter_map(|parameter| {
            let mut words = parameter.split_whitespace();
            words.find(|word| *word == ".param")?;
            match words.next()? {
                ".u64" | ".b64" => Some(Kind::Wide),
                ".f32" => Some(Kind::F32),
                _ => Some(Kind::U32),
            }
        });
        found.insert(name.trim().to_owned(), kinds.collect());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameters_of_each_entry_point_are_read() {
        let ptx = ".version 9.0\n.visible .entry one_f32(\n\t.param .u64 one_f32_param_0,\n\t\
                   .param .u64 .ptr .align 4 one_f32_param_1,\n\t.param .u32 one_f32_param_2,\n\t\
                   .param .f32 one_f32_param_3\n)\n.maxntid 256, 1, 1\n{ ret; }\n\
                   .visible .entry two()\n{ ret; }";
        let found = signatures(ptx);
        assert_eq!(
            found["one_f32"],
            [Kind::Wide, Kind::Wide, Kind::U32, Kind::F32]
        );
        assert!(found["two"].is_empty());
    }
}
