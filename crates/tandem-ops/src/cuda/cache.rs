//! Compiled kernels kept on disk, so that a program starts without compiling.
//!
//! An entry's name is a hash of everything its PTX follows from. Its first line is a checksum of its
//! name and the rest: a damaged entry is one that is not there, and so is another's. An entry is
//! written beside its place and renamed, so two processes that start at once both write the same whole
//! file. The cache is a help, never a need: where it cannot be read or written, kernels are compiled at
//! each start.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A folder of compiled kernels; `None` keeps nothing.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    folder: Option<PathBuf>,
}

impl Cache {
    /// `TANDEM_KERNEL_CACHE`, or `tandem/kernels` in the user's cache folder; empty for no cache.
    pub(super) fn of_user() -> Self {
        let variable = |name| std::env::var_os(name).map(PathBuf::from);
        let set = |path: &PathBuf| !path.as_os_str().is_empty();
        let folder = match variable("TANDEM_KERNEL_CACHE") {
            Some(folder) => Some(folder),
            None => variable("XDG_CACHE_HOME")
                .filter(set)
                .or_else(|| Some(variable("HOME").filter(set)?.join(".cache")))
                .map(|cache| cache.join("tandem").join("kernels")),
        };
        Self {
            folder: folder.filter(set),
        }
    }

    /// The entry of `key`, from the cache or from `compile`.
    pub(super) fn get<E>(
        &self,
        key: &Key,
        compile: impl FnOnce() -> Result<String, E>,
    ) -> Result<String, E> {
        let Some(folder) = &self.folder else {
            return compile();
        };
        let place = folder.join(key.file_name());
        if let Some(ptx) = read(&place, key) {
            return Ok(ptx);
        }
        let ptx = compile()?;
        // A cache that cannot be written costs time at the next start and nothing else.
        let _ = write(folder, &place, &first_line(key, &ptx), &ptx);
        Ok(ptx)
    }
}

/// The folder that compiled kernels are kept in, where there is one.
pub fn kernel_cache() -> Option<PathBuf> {
    Cache::of_user().folder
}

/// What compiled code follows from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// The file's name without its ending, for whoever looks into the folder.
    pub name: String,
    pub source: String,
    pub options: Vec<String>,
    pub architecture: String,
    pub compiler: String,
}

impl Key {
    fn file_name(&self) -> String {
        let mut hash = Hash::new();
        let options = self.options.iter().map(String::as_str);
        let parts = [&*self.source, &self.architecture, &self.compiler];
        for part in parts.into_iter().chain(options) {
            // The length keeps "ab", "c" and "a", "bc" apart.
            hash.add(&(part.len() as u64).to_le_bytes());
            hash.add(part.as_bytes());
        }
        format!("{}-{}-{:032x}.ptx", self.name, self.architecture, hash.0)
    }
}

/// FNV-1a with 128 bits: stable across builds, unlike the standard library's hasher. It guards
/// against accidents; whoever can write the cache folder can replace the program as well.
struct Hash(u128);

impl Hash {
    fn new() -> Self {
        Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u128::from(*byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013b);
        }
    }
}

fn first_line(key: &Key, ptx: &str) -> String {
    let mut hash = Hash::new();
    hash.add(key.file_name().as_bytes());
    hash.add(ptx.as_bytes());
    format!("// tandem kernel {:032x}\n", hash.0)
}

fn read(place: &Path, key: &Key) -> Option<String> {
    let entry = std::fs::read_to_string(place).ok()?;
    let at = entry.find('\n')? + 1;
    let (line, ptx) = entry.split_at(at);
    (line == first_line(key, ptx)).then(|| ptx.to_owned())
}

fn write(folder: &Path, place: &Path, line: &str, ptx: &str) -> std::io::Result<()> {
    static WRITTEN: AtomicU64 = AtomicU64::new(0);
    std::fs::create_dir_all(folder)?;
    let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
    let beside = place.with_extension(format!("{}-{number}.new", std::process::id()));
    std::fs::write(&beside, [line, ptx].concat())
        .and_then(|()| std::fs::rename(&beside, place))
        .inspect_err(|_| {
            let _ = std::fs::remove_file(&beside);
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    fn key() -> Key {
        Key {
            name: "lrn".into(),
            source: "source".into(),
            options: vec!["--std=c++17".into()],
            architecture: "compute_90".into(),
            compiler: "13.0".into(),
        }
    }

    /// A cache in a fresh folder that is removed with the guard.
    fn fresh(name: &str) -> (Cache, Guard) {
        let folder = std::env::temp_dir().join(format!("tandem-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let cache = Cache {
            folder: Some(folder.clone()),
        };
        (cache, Guard(folder))
    }

    struct Guard(PathBuf);
    impl Drop for Guard {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn compiled(cache: &Cache, times: &mut u32) -> String {
        let compile = || {
            *times += 1;
            Ok::<_, Infallible>(".version 9.0\n.target sm_90\n".to_owned())
        };
        cache.get(&key(), compile).unwrap()
    }

    #[test]
    fn an_entry_depends_on_each_part_of_its_key() {
        let name = key().file_name();
        let changes: [fn(&mut Key); 4] = [
            |k| k.source.push(' '),
            |k| k.options.push("--fmad=false".into()),
            |k| k.architecture = "compute_80".into(),
            |k| k.compiler = "13.1".into(),
        ];
        for change in changes {
            let mut other = key();
            change(&mut other);
            assert_ne!(other.file_name(), name);
        }
        assert_eq!(key().file_name(), name);
        assert!(name.starts_with("lrn-compute_90-") && name.ends_with(".ptx"));
    }

    #[test]
    fn the_second_time_nothing_is_compiled() {
        let (cache, _guard) = fresh("second");
        let mut times = 0;
        let first = compiled(&cache, &mut times);
        assert_eq!(compiled(&cache, &mut times), first);
        assert_eq!(times, 1);
    }

    #[test]
    fn a_damaged_entry_is_built_again() {
        let (cache, guard) = fresh("damaged");
        let place = guard.0.join(key().file_name());
        let mut times = 0;
        let whole = compiled(&cache, &mut times);
        let entry = std::fs::read(&place).unwrap();
        let mut flipped = entry.clone();
        *flipped.last_mut().unwrap() ^= 1;
        let cut = entry[..entry.len() - 3].to_vec();
        let other = Key {
            name: "bias".into(),
            ..key()
        };
        let text = std::str::from_utf8(&entry).unwrap();
        let (_, ptx) = text.split_once('\n').unwrap();
        let anothers = (first_line(&other, ptx) + ptx).into_bytes();
        for damage in [
            flipped,
            cut,
            anothers,
            Vec::new(),
            vec![0xff; 40],
            b"// tandem".to_vec(),
        ] {
            std::fs::write(&place, damage).unwrap();
            let before = times;
            assert_eq!(compiled(&cache, &mut times), whole);
            assert_eq!(times, before + 1);
            assert_eq!(std::fs::read(&place).unwrap(), entry, "it was put right");
        }
    }

    #[test]
    fn many_at_once_leave_one_whole_entry_and_nothing_beside_it() {
        let (cache, guard) = fresh("at-once");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| compiled(&cache, &mut 0));
            }
        });
        let names: Vec<_> = std::fs::read_dir(&guard.0).unwrap().collect();
        assert_eq!(names.len(), 1);
        let mut times = 0;
        compiled(&cache, &mut times);
        assert_eq!(times, 0);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_no_failure() {
        let (_, guard) = fresh("blocked");
        std::fs::write(&guard.0, "a file").unwrap();
        let cache = Cache {
            folder: Some(guard.0.join("kernels")),
        };
        let mut times = 0;
        compiled(&cache, &mut times);
        compiled(&cache, &mut times);
        assert_eq!(times, 2);
        std::fs::remove_file(&guard.0).unwrap();
    }
}
