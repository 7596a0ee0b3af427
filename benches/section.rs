//! Documents whose tables are written by the benches themselves, so that nobody copies figures by hand.

use std::path::Path;

use anyhow::Context as _;

/// Puts `text` into a Markdown file, in place of what stands between the lines `<!-- name -->` and
/// `<!-- /name -->`.
///
/// # Errors
/// The file cannot be read or written, or has no such lines.
pub(crate) fn write(file: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let old = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let missing = || format!("{} has no {} … {end}", file.display(), begin.trim());
    let (before, rest) = old.split_once(&begin).with_context(missing)?;
    let (_, after) = rest.split_once(&end).with_context(missing)?;
    let new = format!("{before}{begin}\n{}\n\n{end}{after}", text.trim());
    std::fs::write(file, new).with_context(|| file.display().to_string())
}
