//! The fenced blocks of `docs/TLS.md`, and what is to be done with each.

/// A part of the document, below a heading of the second level.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) title: String,
    pub(super) blocks: Vec<Block>,
}

/// A fenced block.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// With `file=NAME` behind the language: the content of a file.
    File { name: String, text: String },
    /// Shell commands.
    Steps(Vec<Step>),
    /// With `not-run` behind the language: only shown.
    NotRun,
}

/// A part of a block of shell commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// The line of the document where it ends.
    pub(super) line: usize,
    pub(super) kind: Kind,
    pub(super) text: String,
}

/// What a part of a block says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Commands that end well.
    Run,
    /// A command with `&` behind it, which goes on until the same program is started again.
    Start,
    /// `# prints: LINE`: what the commands before it print among other things; `…` stands for anything.
    Prints,
    /// `# logs: LINE`: what the router logs, now or soon; `…` stands for anything.
    Logs,
}

/// Takes a document apart.
///
/// # Panics
/// When it has a block that is none of these, or that stands before the first section.
pub(super) fn sections(document: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut lines = (1..).zip(document.lines());
    while let Some((line, text)) = lines.next() {
        if let Some(title) = text.strip_prefix("## ") {
            sections.push(Section { title: title.to_owned(), blocks: Vec::new() });
        } else if let Some(about) = text.strip_prefix("```") {
            let inside: Vec<_> = lines.by_ref().take_while(|(_, text)| *text != "```").collect();
            let section = sections.last_mut().expect("a block is in a section");
            section.blocks.push(Block::of(about, line, &inside));
        }
    }
    sections
}

impl Block {
    fn of(about: &str, line: usize, inside: &[(usize, &str)]) -> Self {
        match about.split_once(' ').map(|(_, word)| word) {
            Some("not-run") => Self::NotRun,
            Some(word) if word.starts_with("file=") => {
                let text = inside.iter().fold(String::new(), |all, (_, text)| all + text + "\n");
                Self::File { name: word.replacen("file=", "", 1), text }
            }
            None if about == "sh" => Self::Steps(steps(inside)),
            _ => panic!("line {line}: a block that is no file, is not run, and is not marked so: {about:?}"),
        }
    }
}

fn steps(lines: &[(usize, &str)]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    // Whether the next command belongs to the same step.
    let mut goes_on = false;
    for &(line, text) in lines {
        let prints = text.strip_prefix("# prints: ").map(|text| (Kind::Prints, text));
        let logs = text.strip_prefix("# logs: ").map(|text| (Kind::Logs, text));
        let start = text.strip_suffix(" &").map(|text| (Kind::Start, text));
        let (kind, text) = prints.or(logs).or(start).unwrap_or((Kind::Run, text));
        match steps.last_mut().filter(|_| goes_on && kind == Kind::Run) {
            Some(step) => *step = Step { line, kind, text: format!("{}\n{text}", step.text) },
            None => steps.push(Step { line, kind, text: text.to_owned() }),
        }
        goes_on = kind == Kind::Run;
    }
    steps
}

/// Whether there is a line in `all` that is `line`, where `…` stands for anything and space around it for
/// none.
pub(super) fn has_line(all: &str, line: &str) -> bool {
    all.lines().any(|actual| is_line(actual.trim(), line.trim()))
}

fn is_line(actual: &str, line: &str) -> bool {
    let mut pieces = line.split('…').map(str::trim);
    let Some(mut rest) = pieces.next().and_then(|first| actual.strip_prefix(first)) else { return false };
    let mut pieces: Vec<_> = pieces.collect();
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    for piece in pieces {
        let Some((_, after)) = rest.split_once(piece) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[test]
fn a_document_is_taken_apart() {
    let text = "# T\n## One\n```toml file=a.toml\na = 1\n```\n```sh\nls\nx &\n# prints: a\npwd\nls | \\\n  wc\n```\n\
                ## Two\n```sh not-run\nx\n```\n";
    let [one, two] = sections(text).try_into().unwrap();
    let step = |line, kind, text: &str| Step { line, kind, text: text.to_owned() };
    let steps = vec![
        step(7, Kind::Run, "ls"),
        step(8, Kind::Start, "x"),
        step(9, Kind::Prints, "a"),
        step(12, Kind::Run, "pwd\nls | \\\n  wc"),
    ];
    let file = Block::File { name: "a.toml".to_owned(), text: "a = 1\n".to_owned() };
    assert_eq!(one.blocks, [file, Block::Steps(steps)]);
    assert_eq!((two.title.as_str(), two.blocks), ("Two", vec![Block::NotRun]));
}

#[test]
#[should_panic(expected = "line 2: a block that is no file")]
fn a_block_that_nobody_runs_is_found() {
    sections("## One\n```text\nrm x\n```\n");
}

#[test]
fn a_line_is_looked_for_with_gaps() {
    let all = "a\n  valid until 2027-01-02, and so on\n";
    for there in ["a", "valid until …", "… until …, and …", "valid…on", "…"] {
        assert!(has_line(all, there), "{there}");
    }
    for not_there in ["b", "valid until", "until …", "valid … so", "… and … until …", "a … b", "…, and"]
    {
        assert!(!has_line(all, not_there), "{not_there}");
    }
}
