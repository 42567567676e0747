//! WAL segments as files: which wait to be archived, which one pg_rewind misses, and the commands that move them
//! (postgres.md 18.3, ha-loop.md 23.7, 23.9).

use std::fs;
use std::io;
use std::path::Path;

/// 24 hexadecimal digits.
fn is_segment(name: &str) -> bool {
    name.len() == 24 && name.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b))
}

/// Segments with a `.ready` note and a file, in order.
pub(crate) fn ready_segments(data_dir: &Path) -> Vec<String> {
    let wal = data_dir.join("pg_wal");
    let notes = fs::read_dir(wal.join("archive_status")).into_iter().flatten().flatten();
    let mut segments: Vec<String> = notes
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".ready").map(str::to_owned))
        .filter(|name| is_segment(name.strip_suffix(".partial").unwrap_or(name)) && wal.join(name).exists())
        .collect();
    segments.sort_unstable();
    segments
}

pub(crate) fn mark_done(data_dir: &Path, segment: &str) -> io::Result<()> {
    let status = data_dir.join("pg_wal/archive_status");
    fs::rename(status.join(format!("{segment}.ready")), status.join(format!("{segment}.done")))
}

/// Notes about archiving mean nothing to a server that runs alone.
pub(crate) fn forget_archive_status(data_dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(data_dir.join("pg_wal/archive_status"))? {
        fs::remove_file(entry?.path())?;
    }
    Ok(())
}

/// `could not open file "…/pg_wal/0000…": …` → the segment.
pub(crate) fn missing_segment(complaint: &str) -> Option<String> {
    complaint.lines().find_map(|line| {
        let (_, tail) = line.split_once("could not open file \"")?;
        let (path, _) = tail.split_once("\":")?;
        let (directory, name) = path.rsplit_once('/')?;
        (directory.ends_with("pg_wal") && is_segment(name)).then(|| name.to_owned())
    })
}

/// `%p`, `%f`, `%r`, `%%`; any other `%x` stays.
pub(crate) fn expand(command: &str, path: &str, file: &str) -> String {
    let mut line = String::with_capacity(command.len() + path.len());
    let mut chars = command.chars();
    while let Some(c) = chars.next() {
        match (c, chars.clone().next()) {
            ('%', Some('p')) => line.push_str(path),
            ('%', Some('f')) => line.push_str(file),
            ('%', Some('r')) => line.push_str("000000010000000000000001"),
            ('%', Some('%')) => line.push('%'),
            (c, _) => {
                line.push(c);
                continue;
            }
        }
        chars.next();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: &str = "0000000200000000000000AB";

    #[test]
    fn commands_are_filled_in() {
        assert_eq!(expand("cp /a/%f %p %r %% %x", "pg_wal/1", "1"), "cp /a/1 pg_wal/1 000000010000000000000001 % %x");
    }

    #[test]
    fn the_missing_segment_is_found_in_the_complaint() {
        let text =
            format!("pg_rewind: error: could not open file \"/data/pg_wal/{SEGMENT}\": No such file or directory");
        assert_eq!(missing_segment(&text).as_deref(), Some(SEGMENT));
        assert_eq!(missing_segment("could not open file \"/data/base/1\": x"), None);
    }

    #[test]
    fn ready_segments_come_in_order() {
        let dir = std::env::temp_dir().join(format!("tamada-wal-{}", std::process::id()));
        let status = dir.join("pg_wal/archive_status");
        fs::create_dir_all(&status).unwrap();
        for name in ["000000010000000000000002", "000000010000000000000001", "000000010000000000000003.partial"] {
            fs::write(status.join(format!("{name}.ready")), "").unwrap();
            fs::write(dir.join("pg_wal").join(name), "").unwrap();
        }
        fs::write(status.join(format!("{SEGMENT}.ready")), "").unwrap();
        let ready = ready_segments(&dir);
        assert_eq!(ready, ["000000010000000000000001", "000000010000000000000002", "000000010000000000000003.partial"]);
        mark_done(&dir, &ready[0]).unwrap();
        assert_eq!(ready_segments(&dir).len(), 2);
        forget_archive_status(&dir).unwrap();
        assert!(ready_segments(&dir).is_empty());
        fs::remove_dir_all(dir).unwrap();
    }
}
