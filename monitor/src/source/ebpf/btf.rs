//! What is asked of the running kernel's BTF (Documentation/bpf/btf.rst): offsets of structure members, whether there is a
//! function, and the ids that programs are attached by.
//!
//! Reads only what it needs, where it lies: a parser that makes an object of every member takes tens of milliseconds and
//! as many megabytes. It relocates nothing.

use monitor_common::Offsets;
use std::collections::HashMap;

/// Where the kernel publishes its own BTF.
pub(super) const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

const MAGIC: u16 = 0xeb9f;
/// Of the magic number and the places of the two sections.
const HEADER: u32 = 24;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_FORWARD: u32 = 7;
const KIND_TYPEDEF: u32 = 8;
const KIND_FUNCTION: u32 = 12;

/// Types of one BTF blob: where each begins.
#[derive(Debug)]
pub(super) struct Types<'a> {
    section: &'a [u8],
    strings: &'a [u8],
    /// Offset in `section` by type id; id 0 is void.
    starts: Vec<usize>,
}

impl<'a> Types<'a> {
    /// Finds the types; `None` where the blob is not BTF. A kind that is not known has a length that is not known, so the
    /// types from there on are not found; those before it are, by their ids.
    pub(super) fn parse(blob: &'a [u8]) -> Option<Self> {
        let magic = u16::from_le_bytes(blob.get(..2)?.try_into().ok()?);
        if magic != MAGIC {
            return None;
        }
        let header = word(blob, 4)? as usize;
        let section = |offset: usize| -> Option<&'a [u8]> {
            let start = header.checked_add(word(blob, offset)? as usize)?;
            let end = start.checked_add(word(blob, offset + 4)? as usize)?;
            blob.get(start..end)
        };
        let mut parsed = Self { section: section(8)?, strings: section(16)?, starts: vec![0] };
        let mut at = 0;
        while at < parsed.section.len() {
            let info = word(parsed.section, at + 4)?;
            let Some(length) = trailing(info) else {
                log::warn!(
                    "the kernel's types from {} on are of a kind that is not known",
                    parsed.starts.len()
                );
                break;
            };
            parsed.starts.push(at);
            at = at.checked_add(12 + length)?;
        }
        Some(parsed)
    }

    fn name(&self, offset: u32) -> &'a [u8] {
        let rest = self.strings.get(offset as usize..).unwrap_or_default();
        rest.split(|byte| *byte == 0).next().unwrap_or_default()
    }

    /// The name of a type.
    fn name_of(&self, at: usize) -> &'a [u8] {
        word(self.section, at).map(|offset| self.name(offset)).unwrap_or_default()
    }

    fn kind(&self, at: usize) -> Option<u32> {
        Some((word(self.section, at + 4)? >> 24) & 0x1f)
    }

    /// Offset in bytes of a member, looking into unnamed structs and unions.
    fn member(&self, at: usize, name: &str, depth: u32) -> Option<u32> {
        let info = word(self.section, at + 4)?;
        let bitfields = info >> 31 == 1;
        for index in 0..(info & 0xffff) as usize {
            let member = at + 12 + index * 12;
            let offset = word(self.section, member + 8)?;
            let bits = if bitfields { offset & 0x00ff_ffff } else { offset };
            let member_name = self.name(word(self.section, member)?);
            if member_name == name.as_bytes() {
                return (bits % 8 == 0).then_some(bits / 8);
            }
            if member_name.is_empty() && depth < 4 {
                let inner = *self.starts.get(word(self.section, member + 4)? as usize)?;
                if matches!(self.kind(inner), Some(KIND_STRUCT | KIND_UNION))
                    && let Some(found) = self.member(inner, name, depth + 1)
                {
                    return Some(bits / 8 + found);
                }
            }
        }
        None
    }
}

impl Types<'_> {
    /// The type id of a member that is the structure's own.
    fn type_of(&self, at: usize, name: &str) -> Option<u32> {
        let count = (word(self.section, at + 4)? & 0xffff) as usize;
        let mut members = (0..count).map(|index| at + 12 + index * 12);
        let named = |member: &usize| {
            word(self.section, *member).is_some_and(|offset| self.name(offset) == name.as_bytes())
        };
        word(self.section, members.find(named)? + 4)
    }

    /// The structure that a type is, behind its names.
    fn structure(&self, id: u32) -> Option<usize> {
        let mut at = *self.starts.get(id as usize)?;
        for _ in 0..4 {
            match self.kind(at)? {
                KIND_STRUCT => return Some(at),
                KIND_TYPEDEF => at = *self.starts.get(word(self.section, at + 8)? as usize)?,
                _ => return None,
            }
        }
        None
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// Bytes that follow the 12 common ones of a type; `None` for a kind that is not known, which ends the walk.
fn trailing(info: u32) -> Option<usize> {
    let vlen = (info & 0xffff) as usize;
    Some(match (info >> 24) & 0x1f {
        2 | 7 | 8 | 9 | 10 | 11 | 12 | 16 | 18 => 0,
        1 | 14 | 17 => 4,
        3 => 12,
        KIND_STRUCT | KIND_UNION | 15 | 19 => vlen * 12,
        6 | 13 => vlen * 8,
        _ => return None,
    })
}

impl Types<'_> {
    /// The offsets that the kernel programs need; 0 where a member was not found.
    pub(super) fn offsets(&self) -> Offsets {
        let mut found: HashMap<&str, usize> = HashMap::new();
        for at in self.starts.iter().skip(1) {
            if self.kind(*at) != Some(KIND_STRUCT) {
                continue;
            }
            let name = self.name_of(*at);
            if let Some(name) = Offsets::STRUCTURES.iter().find(|wanted| wanted.as_bytes() == name) {
                // The first wins: later ones of the same name belong to some module's private header.
                found.entry(*name).or_insert(*at);
            }
        }
        Offsets::find(|structure, path| self.nested(*found.get(structure)?, path))
    }

    /// Offset of a member of a member and so on, where those between have a type with a name.
    fn nested(&self, at: usize, path: &[&str]) -> Option<u32> {
        let (name, inner) = path.split_first()?;
        let offset = self.member(at, name, 0)?;
        if inner.is_empty() {
            return Some(offset);
        }
        Some(offset + self.nested(self.structure(self.type_of(at, name)?)?, inner)?)
    }

    /// Whether the kernel has something of this name: a function, for what this is asked.
    pub(super) fn mentions(&self, name: &str) -> bool {
        self.starts.iter().skip(1).any(|at| self.name_of(*at) == name.as_bytes())
    }

    /// BTF with the same ids, in which only what tracepoints and iterators are attached by is more than a number.
    pub(super) fn outline(&self) -> Vec<u8> {
        let length = |bytes: &Vec<u8>| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let (mut types, mut strings) = (Vec::with_capacity(self.starts.len() * 12), vec![0]);
        for at in self.starts.iter().skip(1) {
            let mut put = |words: [u32; 3]| types.extend(words.into_iter().flat_map(u32::to_le_bytes));
            let name = self.name_of(*at);
            let kind = match self.kind(*at) {
                Some(KIND_TYPEDEF) if name.starts_with(b"btf_trace_") => KIND_TYPEDEF,
                Some(KIND_FUNCTION) if name.starts_with(b"bpf_iter_") => KIND_FUNCTION,
                _ => {
                    put([0, KIND_FORWARD << 24, 0]);
                    continue;
                }
            };
            put([length(&strings), kind << 24, 0]);
            strings.extend_from_slice(name);
            strings.push(0);
        }
        let (types_len, strings_len) = (length(&types), length(&strings));
        let mut blob = MAGIC.to_le_bytes().to_vec();
        // Version and flags, then where the sections begin and end, from the end of the header.
        blob.extend_from_slice(&[1, 0]);
        for word in [HEADER, 0, types_len, types_len, strings_len] {
            blob.extend_from_slice(&word.to_le_bytes());
        }
        blob.append(&mut types);
        blob.append(&mut strings);
        blob
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, type, offset in bits.
    type Member<'a> = (&'a str, u32, u32);

    /// A BTF blob of hand-made types: (name, info, size or type, members).
    fn blob(types: &[(&str, u32, u32, &[Member<'_>])]) -> Vec<u8> {
        let mut strings = vec![0_u8];
        let mut name = |text: &str| -> u32 {
            if text.is_empty() {
                return 0;
            }
            let at = strings.len();
            strings.extend_from_slice(text.as_bytes());
            strings.push(0);
            u32::try_from(at).unwrap()
        };
        let mut body = Vec::new();
        for (type_name, info, size, members) in types {
            for value in [name(type_name), *info, *size] {
                body.extend_from_slice(&value.to_le_bytes());
            }
            for (member, kind, offset) in *members {
                for value in [name(member), *kind, *offset] {
                    body.extend_from_slice(&value.to_le_bytes());
                }
            }
        }
        let types_len = u32::try_from(body.len()).unwrap();
        let mut out = MAGIC.to_le_bytes().to_vec();
        out.extend_from_slice(&[1, 0]);
        for value in [24, 0, types_len, types_len, u32::try_from(strings.len()).unwrap()] {
            out.extend_from_slice(&value.to_le_bytes());
        }
        out.extend(body);
        out.extend(strings);
        out
    }

    const fn structure(members: u32) -> u32 {
        (KIND_STRUCT << 24) | members
    }

    #[test]
    fn finds_members_also_in_unnamed_structs() {
        let blob = blob(&[
            ("", structure(2), 16, &[("pad", 0, 0), ("tgid", 0, 64)]),
            ("task_struct", structure(2), 64, &[("flags", 0, 32), ("", 1, 128)]),
            ("socket", structure(1), 8, &[("sk", 0, 192)]),
        ]);
        let offsets = Types::parse(&blob).unwrap().offsets();
        assert_eq!(offsets.task_flags, 4);
        assert_eq!(offsets.task_tgid, 16 + 8);
        assert_eq!(offsets.socket_sk, 24);
        assert_eq!(offsets.task_comm, 0, "a member that is not there is 0");
    }

    #[test]
    fn whole_names_are_mentioned() {
        let blob = blob(&[("task_struct", structure(0), 8, &[])]);
        let types = Types::parse(&blob).unwrap();
        assert!(types.mentions("task_struct"));
        assert!(!types.mentions("task"));
    }

    /// L9: one new kind of type in a kernel release was "not valid BTF", and no owner was found any more.
    #[test]
    fn types_before_a_kind_that_is_not_known_are_found() {
        let blob = blob(&[
            ("socket", structure(1), 8, &[("sk", 0, 192)]),
            ("btf_trace_first", KIND_TYPEDEF << 24, 0, &[]),
            ("new", 31 << 24 | 2, 0, &[("of some length", 0, 0)]),
            ("task_struct", structure(1), 8, &[("tgid", 0, 64)]),
        ]);
        let types = Types::parse(&blob).unwrap();
        assert_eq!((types.offsets().socket_sk, types.offsets().task_tgid), (24, 0));
        assert!(types.mentions("btf_trace_first") && !types.mentions("task_struct"));
        let outline = types.outline();
        assert!(Types::parse(&outline).unwrap().mentions("btf_trace_first"));
        aya::Btf::parse(&outline, aya::Endianness::default()).unwrap();
    }

    #[test]
    fn bitfields_have_no_byte_offset() {
        let blob = blob(&[("sock_common", structure(1) | 1 << 31, 8, &[("skc_family", 0, 3 | 1 << 24)])]);
        assert_eq!(Types::parse(&blob).unwrap().offsets().skc_family, 0);
    }

    #[test]
    fn garbage_is_none_or_empty_and_never_a_panic() {
        assert!(Types::parse(b"").is_none());
        assert!(Types::parse(&[0; 64]).is_none());
        let good = blob(&[("task_struct", structure(1), 8, &[("tgid", 0, 64)])]);
        for cut in 0..good.len() {
            if let Some(types) = Types::parse(&good[..cut]) {
                let _ = (types.offsets(), types.mentions("task_struct"), types.outline());
            }
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn running_kernel_has_them_all() {
        let Ok(blob) = std::fs::read(VMLINUX) else {
            // Counted where it matters: the root tests need BTF and fail without.
            return;
        };
        let types = Types::parse(&blob).unwrap();
        let found = types.offsets().words();
        assert!(found.iter().all(|offset| *offset != 0), "{found:?}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_outline_has_the_ids_that_programs_are_attached_by() {
        let Ok(blob) = std::fs::read(VMLINUX) else {
            // As above.
            return;
        };
        let whole = Types::parse(&blob).unwrap();
        let outline = whole.outline();
        aya::Btf::parse(&outline, aya::Endianness::default()).unwrap();
        let outline = Types::parse(&outline).unwrap();
        assert_eq!(outline.starts.len(), whole.starts.len());
        for (name, kind) in [
            ("btf_trace_sched_process_exec", KIND_TYPEDEF),
            ("btf_trace_tcp_rcv_space_adjust", KIND_TYPEDEF),
            ("bpf_iter_task_file", KIND_FUNCTION),
        ] {
            let found = |types: &Types<'_>| {
                let is = |at: &usize| types.kind(*at) == Some(kind) && types.name_of(*at) == name.as_bytes();
                types.starts.iter().skip(1).position(is)
            };
            assert!(found(&outline).is_some(), "{name}");
            assert_eq!(found(&outline), found(&whole), "{name}");
        }
    }
}
