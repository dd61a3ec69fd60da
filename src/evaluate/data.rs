//! What matching is measured on: open sets in the shape of `corpus.jsonl`, `queries.jsonl`, `qrels.tsv`. Knows files;
//! no scores.

use crate::knowledge::is_train;
use crate::matching::Doc;
use anyhow::{Context, bail};
use rustc_hash::FxHashMap;
use serde::Deserialize;
use std::path::Path;

/// One question of an open set.
#[derive(Clone, Debug)]
pub struct Question {
    /// What is asked.
    pub text: String,
    /// Positions of the documents that answer it; none: nothing does.
    pub right: Vec<usize>,
    /// It may be learned from.
    pub train: bool,
}

impl Question {
    /// Known to have no answer: nothing answers it, and it may be learned from.
    pub fn is_gap(&self) -> bool {
        self.train && self.right.is_empty()
    }
}

/// An open set.
#[derive(Debug)]
pub struct Set {
    /// The folder's name.
    pub name: String,
    /// The documents; none where the questions are to be put to the project's own knowledge.
    pub docs: Vec<Doc>,
    /// The questions, those that nothing answers last.
    pub questions: Vec<Question>,
}

#[derive(Deserialize)]
struct Row {
    id: String,
    #[serde(default)]
    title: String,
    text: String,
}

impl Set {
    /// Reads one folder.
    pub fn read(dir: &Path) -> anyhow::Result<Self> {
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let corpus = rows(&dir.join("corpus.jsonl"), false)?;
        let at: FxHashMap<&str, usize> =
            corpus.iter().enumerate().map(|(n, row)| (row.id.as_str(), n)).collect();
        let mut right: FxHashMap<String, Vec<usize>> = FxHashMap::default();
        for line in text(&dir.join("qrels.tsv"), false)?.lines() {
            let mut fields = line.split('\t');
            if let (Some(question), Some(doc)) = (fields.next(), fields.next()) {
                let doc = *at
                    .get(doc)
                    .with_context(|| format!("{name}/qrels.tsv 里的 {doc} 不在 corpus.jsonl 里"))?;
                right.entry(question.to_owned()).or_default().push(doc);
            }
        }
        let question = |row: Row| Question {
            train: is_train(&row.id),
            right: right.get(&row.id).cloned().unwrap_or_default(),
            text: row.text,
        };
        let mut questions: Vec<Question> =
            rows(&dir.join("queries.jsonl"), true)?.into_iter().map(question).collect();
        questions.extend(rows(&dir.join("unanswerable.jsonl"), false)?.into_iter().map(question));
        let docs = corpus
            .into_iter()
            .map(|row| Doc { title: row.title, body: row.text, ..Doc::default() })
            .collect();
        Ok(Self { name, docs, questions })
    }

    /// The folder itself, if it is a set, else every set in it, by name.
    pub fn read_all(dir: &Path) -> anyhow::Result<Vec<Self>> {
        if dir.join("queries.jsonl").is_file() {
            return Ok(vec![Self::read(dir)?]);
        }
        let items = std::fs::read_dir(dir).with_context(|| format!("读不了 {}", dir.display()))?;
        let mut folders: Vec<_> = items.flatten().map(|item| item.path()).collect();
        folders.retain(|folder| folder.join("queries.jsonl").is_file());
        folders.sort();
        if folders.is_empty() {
            bail!("{} 里没有题集：应有 queries.jsonl，或有若干含 queries.jsonl 的文件夹", dir.display());
        }
        folders.iter().map(|folder| Self::read(folder)).collect()
    }
}

fn text(file: &Path, needed: bool) -> anyhow::Result<String> {
    if !needed && !file.exists() {
        return Ok(String::new());
    }
    std::fs::read_to_string(file).with_context(|| format!("读不了 {}", file.display()))
}

fn rows(file: &Path, needed: bool) -> anyhow::Result<Vec<Row>> {
    let text = text(file, needed)?;
    let row = |(n, line): (usize, &str)| {
        serde_json::from_str(line)
            .with_context(|| format!("{}:{}: 不是 {{\"id\",\"text\"}}", file.display(), n + 1))
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(row).collect()
}
