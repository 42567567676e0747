//! Locking what is resident, for who may not lock everything.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use rustix::io::Errno;

/// Every page of ours that is in memory now stays there.
pub fn lock_resident() -> Result<(), Errno> {
    let maps = std::fs::read_to_string("/proc/self/maps").map_err(raw)?;
    let pages = File::open("/proc/self/pagemap").map_err(raw)?;
    maps.lines().filter_map(addresses).try_for_each(|range| lock_present(&pages, range))
}

fn raw(error: io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error)
}

/// `55d0c0a00000-55d0c0a21000 r-xp 00000000 fe:00 1234 /usr/bin/tamada`
fn addresses(line: &str) -> Option<Range<usize>> {
    let (range, rest) = line.split_once(' ')?;
    let (from, to) = range.split_once('-')?;
    // What nobody may read is a hole; the kernel's own pages are never gone.
    let is_ours =
        rest.starts_with('r') && !rest.ends_with(']') || rest.ends_with("[stack]") || rest.ends_with("[heap]");
    is_ours.then_some(usize::from_str_radix(from, 16).ok()?..usize::from_str_radix(to, 16).ok()?)
}

fn lock_present(pages: &File, range: Range<usize>) -> Result<(), Errno> {
    let size = rustix::param::page_size();
    let mut entries = vec![[0u8; 8]; range.len() / size];
    pages.read_exact_at(entries.as_flattened_mut(), (range.start / size * 8) as u64).map_err(raw)?;
    for (page, entry) in range.step_by(size).zip(entries) {
        let is_present = u64::from_ne_bytes(entry) >> 63 == 1;
        if is_present {
            // SAFETY: the page was mapped a moment ago by this process's only thread; locking changes no content.
            unsafe { rustix::mm::mlock(page as *mut _, size)? };
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_locked_is_looked_at() {
        let range = Some(0x1000..0x3000);
        assert_eq!(addresses("00001000-00003000 r-xp 00000000 fe:00 1234 /usr/bin/tamada"), range);
        assert_eq!(addresses("00001000-00003000 rw-p 00000000 00:00 0 "), range);
        assert_eq!(addresses("00001000-00003000 rw-p 00000000 00:00 0 [stack]"), range);
        assert_eq!(addresses("00001000-00003000 ---p 00000000 00:00 0 "), None);
        assert_eq!(addresses("00001000-00003000 r--p 00000000 00:00 0 [vvar]"), None);
    }
}
