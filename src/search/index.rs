//! The index on the disk: opened or begun anew, written, tidied, purged. Knows files and segments; what stands in them is
//! `fields`' to know. Everything happens in the thread that calls; merges too, so that nothing goes on behind its back.

use super::fields::{Fields, GRAMS};
use super::finder::Finder;
use super::folder::Folder;
use super::grams::Grams;
use super::{Doc, Hit, Reader, Result, SearchError};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use tantivy::directory::{Directory, INDEX_WRITER_LOCK, MmapDirectory};
use tantivy::indexer::{IndexWriterOptions, LogMergePolicy, MergePolicy, NoMergePolicy};
use tantivy::{IndexWriter, ReloadPolicy, TantivyError};

/// The least the writer takes: what waits for a commit beyond it goes to the disk.
const HEAP_BYTES: usize = 15_000_000;
/// So many parts of like size become one; parts of fewer tickets than this count as alike; of another size is what has a
/// quarter of the tickets.
const MERGE_AT: usize = 6;
const SMALL: u32 = 1_000;
const LEVEL_LOG2: f64 = 2.0;
/// A part is written anew when so much of it was removed.
const MAX_REMOVED: f32 = 0.3;
/// Says which parts there are.
const META: &str = "meta.json";

/// How an index was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// As it was left.
    AsLeft,
    /// There was none: every ticket must be fed.
    New,
    /// It was of another form or damaged, for this reason, and was begun anew: every ticket must be fed.
    Anew(String),
}

/// The index: its writer, and a [`Finder`]. One a folder and process.
pub struct Index {
    index: tantivy::Index,
    finder: Finder,
    /// Begun with the first change, in the thread that makes it: its own threads have that one's priority.
    writer: Option<IndexWriter>,
    is_dirty: bool,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index")
            .field("finder", &self.finder)
            .field("is_dirty", &self.is_dirty)
            .finish_non_exhaustive()
    }
}

impl Index {
    /// Opens the index in a folder of its own, or begins one. All of its bytes are read and checked; what is damaged or of
    /// another form is removed; files of others stay.
    pub fn open(dir: &Path) -> Result<(Self, Opened)> {
        std::fs::create_dir_all(dir)?;
        let directory = || Folder::open(dir).map_err(TantivyError::from);
        // Nobody else may be writing, the less so when the folder is about to be removed.
        let lock = directory()?.acquire_lock(&INDEX_WRITER_LOCK);
        drop(lock?);
        let is_there = dir.join(META).exists();
        let opened = if is_there {
            match check(dir).and_then(|()| Self::of(tantivy::Index::open(directory()?)?, dir)) {
                Ok(index) => return Ok((index, Opened::AsLeft)),
                Err(reason) => Opened::Anew(reason.to_string()),
            }
        } else {
            Opened::New
        };
        clear(dir)?;
        let (schema, _) = Fields::schema();
        let index = tantivy::Index::builder().schema(schema).settings(Fields::settings());
        Ok((Self::of(index.open_or_create(directory()?)?, dir)?, opened))
    }

    fn of(index: tantivy::Index, dir: &Path) -> Result<Self> {
        let (_, fields) = Fields::schema();
        index.tokenizers().register(GRAMS, Grams::default());
        let reader = index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .doc_store_cache_num_blocks(1)
            .try_into()?;
        let finder = Finder { reader, fields, dir: dir.to_owned() };
        Ok(Self { index, finder, writer: None, is_dirty: false })
    }

    /// What searches it, also after the index itself has gone to another thread.
    pub fn finder(&self) -> Finder {
        self.finder.clone()
    }

    /// Takes tickets in, each in place of what was there of its name; to be found after the next commit.
    pub fn put(&mut self, docs: Vec<Doc>) -> Result<()> {
        let fields = self.finder.fields;
        self.is_dirty = true;
        let writer = self.writer()?;
        for doc in docs {
            writer.delete_term(fields.id_term(doc.id));
            writer.add_document(fields.document(&doc))?;
        }
        Ok(())
    }

    /// Takes a ticket out; not to be found after the next commit, and gone from the disk after the next purge.
    pub fn remove(&mut self, id: u64) -> Result<()> {
        let term = self.finder.fields.id_term(id);
        self.writer()?.delete_term(term);
        self.is_dirty = true;
        Ok(())
    }

    /// Everything put and removed before is on the disk, and searched from now on. Nothing is done where nothing changed.
    pub fn commit(&mut self) -> Result<()> {
        if !self.is_dirty {
            return Ok(());
        }
        self.writer()?.commit()?;
        self.is_dirty = false;
        self.finder.reader.reload()?;
        Ok(())
    }

    /// After an error: the next writer begins from what is on the disk. What had been put since the last commit must be put
    /// again.
    pub(super) fn recover(&mut self) {
        self.writer = None;
        self.is_dirty = false;
    }

    /// Commits, and writes every part anew of which something was removed: then no byte of it is in the folder.
    pub fn purge(&mut self) -> Result<()> {
        self.commit()?;
        for part in self.index.searchable_segment_metas()? {
            if part.num_deleted_docs() > 0 {
                self.writer()?.merge(&[part.id()]).wait()?;
            }
        }
        self.finder.reader.reload()?;
        self.writer()?.garbage_collect_files().wait()?;
        // What a crash left behind, unknown to the index.
        for stranger in self.strangers()? {
            std::fs::remove_file(self.finder.dir.join(stranger))?;
        }
        Ok(())
    }

    /// As [`Finder::search`].
    pub fn search(&self, query: &str, reader: &Reader, limit: usize) -> Result<Vec<Hit>> {
        self.finder.search(query, reader, limit)
    }

    /// As [`Finder::stamps`].
    pub fn stamps(&self) -> Result<HashMap<u64, i64>> {
        self.finder.stamps()
    }

    /// As [`Finder::n_docs`].
    pub fn n_docs(&self) -> u64 {
        self.finder.n_docs()
    }

    /// As [`Finder::bytes`].
    pub fn bytes(&self) -> Result<u64> {
        self.finder.bytes()
    }

    fn writer(&mut self) -> Result<&mut IndexWriter> {
        if self.writer.is_none() {
            let options = IndexWriterOptions::builder()
                .memory_budget_per_thread(HEAP_BYTES)
                .num_worker_threads(1)
                .num_merge_threads(1)
                .build();
            let writer: IndexWriter = self.index.writer_with_options(options)?;
            writer.set_merge_policy(Box::new(NoMergePolicy));
            self.writer = Some(writer);
        }
        self.writer.as_mut().ok_or(SearchError::Stopped)
    }

    /// How many removed tickets are still in the files.
    pub fn n_removed(&self) -> u64 {
        let parts = self.finder.reader.searcher();
        parts.segment_readers().iter().map(|part| u64::from(part.num_deleted_docs())).sum()
    }

    /// Makes few parts of many, where there are: seldom, and then it may take seconds. Every commit adds a part, and every part
    /// makes searching a little slower.
    pub fn tidy(&mut self) -> Result<()> {
        let mut policy = LogMergePolicy::default();
        policy.set_min_num_segments(MERGE_AT);
        policy.set_min_layer_size(SMALL);
        policy.set_level_log_size(LEVEL_LOG2);
        policy.set_del_docs_ratio_before_merge(MAX_REMOVED);
        let parts = self.index.searchable_segment_metas()?;
        let merges = policy.compute_merge_candidates(&parts);
        // What is kept of the parts would keep their files.
        drop(parts);
        if merges.is_empty() {
            return Ok(());
        }
        for merge in merges {
            self.writer()?.merge(&merge.0).wait()?;
        }
        self.finder.reader.reload()?;
        self.writer()?.garbage_collect_files().wait()?;
        Ok(())
    }

    /// Files of parts that do not belong to the index any more.
    fn strangers(&self) -> Result<Vec<PathBuf>> {
        let known = self.index.load_metas()?.list_segment_files();
        let mut strangers = Vec::new();
        for item in std::fs::read_dir(&self.finder.dir)? {
            let name = PathBuf::from(item?.file_name());
            if is_of_a_part(&name) && !known.contains(&name) {
                strangers.push(name);
            }
        }
        Ok(strangers)
    }
}

/// Whether a file is named as those of a part are: by 32 hexadecimal figures.
fn is_of_a_part(name: &Path) -> bool {
    let name = name.to_string_lossy();
    let stem = name.split('.').next().unwrap_or_default();
    stem.len() == 32 && stem.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Removes what an index is made of, and nothing else.
fn clear(dir: &Path) -> Result<()> {
    for item in std::fs::read_dir(dir)? {
        let (path, name) = {
            let item = item?;
            (item.path(), PathBuf::from(item.file_name()))
        };
        let is_ours = is_of_a_part(&name) || name == Path::new(META) || name == Path::new(".managed.json");
        if is_ours && path.is_file() {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Whether every file is what was written, and of this program's form. Nothing of it stays in memory.
fn check(dir: &Path) -> Result<()> {
    let index = tantivy::Index::open(MmapDirectory::open(dir).map_err(TantivyError::from)?)?;
    if index.schema() != Fields::schema().0 || *index.settings() != Fields::settings() {
        return Err(SearchError::Io("索引的格式不同".to_owned()));
    }
    match index.validate_checksum()?.into_iter().next() {
        Some(file) => Err(SearchError::Io(format!("文件内容与校验和不符：{}", file.display()))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::{ALL, MAX_HITS, Rank};
    use tantivy::Term;

    const EVERYTHING: Reader = Reader { departments: ALL, names: &[], confidential_departments: ALL };

    const NOBODY: [u64; 0] = [];

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    /// Ticket `1124-00n`, opened in the n-th second, of the first department.
    fn doc(n: u64, text: &str) -> Doc {
        Doc {
            id: n,
            number: format!("1124-{n:03}"),
            year: 2026,
            stamp: n as i64 * 10,
            opened_at: n as i64 * 1000,
            departments: 1,
            lead_department: 1,
            text: texts(&[text]),
            ..Doc::default()
        }
    }

    fn index_of(docs: Vec<Doc>) -> (tempfile::TempDir, Index) {
        let dir = tempfile::tempdir().unwrap();
        let (mut index, opened) = Index::open(dir.path()).unwrap();
        assert_eq!(opened, Opened::New);
        index.put(docs).unwrap();
        index.commit().unwrap();
        (dir, index)
    }

    fn ids(index: &Index, query: &str) -> Vec<u64> {
        ids_for(index, query, &EVERYTHING)
    }

    fn ids_for(index: &Index, query: &str, reader: &Reader) -> Vec<u64> {
        index.search(query, reader, 50).unwrap().iter().map(|hit| hit.id).collect()
    }

    #[test]
    fn words_are_found_as_they_stand_and_not_apart() {
        let (_dir, index) = index_of(vec![
            doc(1, "请问房租能不能减免？我是開小飯店的"),
            doc(2, "厂房，租金太高"),
            doc(3, "厂房\n租金太高"),
            doc(4, "租房"),
            Doc { text: texts(&["厂房", "租金"]), ..doc(5, "") },
        ]);
        assert_eq!(ids(&index, "房租"), [1]);
        assert_eq!(ids(&index, "房租能不能减免"), [1]);
        assert_eq!(ids(&index, "房租减免"), NOBODY, "the words stand apart");
        assert_eq!(ids(&index, "减免 房租"), [1], "two words may");
        assert_eq!(ids(&index, "小饭店"), [1], "traditional characters are simplified");
        assert_eq!(ids(&index, "開小飯"), [1]);
        assert_eq!(ids(&index, "租"), [5, 4, 3, 2, 1], "one character, wherever it stands");
        assert_eq!(ids(&index, "高"), [3, 2], "also at the end");
        assert_eq!(ids(&index, "房租 租金"), NOBODY);
    }

    #[test]
    fn latin_names_and_figures_are_found_in_part() {
        let (_dir, index) = index_of(vec![
            Doc { fields: texts(&["Acme-Tech（上海）有限公司"]), ..doc(1, "N+1 怎么算") },
            doc(2, "住在A座1203室，邮箱 li.si@qq.com"),
        ]);
        for query in ["acme", "ACME TECH", "cmet", "tech上海", "Ｔｅｃｈ", "acme-tech"] {
            let expected: &[u64] = if query == "tech上海" { &[] } else { &[1] };
            assert_eq!(ids(&index, query), expected, "{query}");
        }
        assert_eq!(ids(&index, "n+1"), [1]);
        assert_eq!(ids(&index, "a座1203"), [2]);
        assert_eq!(ids(&index, "qq.com"), [2]);
        assert_eq!(ids(&index, "12"), [2], "two figures are looked for in words only");
    }

    #[test]
    fn a_telephone_number_is_found_by_four_figures_of_it_however_written() {
        let (_dir, index) = index_of(vec![Doc { phones: texts(&["138-1234-5678"]), ..doc(1, "") }]);
        for query in
            ["13812345678", "138 1234 5678", "138-1234-5678", "+86 138 1234 5678", "5678", "8123", "13812"]
        {
            assert_eq!(ids(&index, query), [1], "{query}");
        }
        assert_eq!(ids(&index, "138"), NOBODY, "three figures say too little");
        assert_eq!(ids(&index, "1382"), NOBODY);
        assert_eq!(index.search("5678", &EVERYTHING, 9).unwrap()[0].rank, Rank::Field);
    }

    #[test]
    fn a_ticket_is_found_by_its_number_or_part_of_it() {
        let (_dir, index) = index_of(vec![
            doc(7, ""),
            Doc { year: 2025, opened_at: 1, ..Doc { id: 17, ..doc(7, "") } },
            doc(8, "参见 1124-007"),
        ]);
        for query in ["1124-007", "1124007", "１１２４－００７", "【1124-007】"] {
            let hits = index.search(query, &EVERYTHING, 9).unwrap();
            let ranks: Vec<_> = hits.iter().map(|hit| (hit.id, hit.rank)).collect();
            assert_eq!(ranks, [(7, Rank::Number), (17, Rank::Number), (8, Rank::Text)], "{query}");
        }
        assert_eq!(ids(&index, "2026-1124-007"), [7]);
        assert_eq!(ids(&index, "2025-1124-007"), [17]);
        assert_eq!(ids(&index, "2026-1124"), [8, 7]);
        assert_eq!(ids(&index, "24-007"), [7, 17, 8]);
        assert_eq!(ids(&index, "008"), [8]);
        assert_eq!(ids(&index, "2026"), NOBODY, "the year alone is no part of it");
    }

    #[test]
    fn names_stand_before_words_and_the_newest_first_in_each() {
        let named = |n| Doc { fields: texts(&["莘庄面馆"]), ..doc(n, "面馆") };
        let (_dir, mut index) = index_of(vec![doc(3, "面馆"), named(1), doc(6, "面馆"), named(2)]);
        index.put(vec![named(4), doc(5, "面馆")]).unwrap();
        index.commit().unwrap();
        let hits = index.search("面馆", &EVERYTHING, 50).unwrap();
        let found: Vec<_> = hits.iter().map(|hit| (hit.id, hit.rank)).collect();
        use Rank::{Field, Text};
        assert_eq!(found, [(4, Field), (2, Field), (1, Field), (6, Text), (5, Text), (3, Text)]);
        assert_eq!(index.search("面馆", &EVERYTHING, 4).unwrap(), hits[..4]);
        assert_eq!(index.search("面馆", &EVERYTHING, 0).unwrap(), []);
    }

    #[test]
    fn no_more_are_given_than_are_wanted_and_these_are_the_newest() {
        let (_dir, index) = index_of((1..=450).map(|n| doc(n * 7 % 451, "房租")).collect());
        let hits = index.search("房租", &EVERYTHING, 10_000).unwrap();
        let expected: Vec<u64> = (451 - MAX_HITS as u64..=450).rev().collect();
        assert_eq!(hits.iter().map(|hit| hit.id).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn everybody_finds_only_what_they_may_see() {
        let wang = texts(&["王芳"]);
        let (_dir, index) = index_of(vec![
            doc(1, "房租"),
            Doc { departments: 0b110, ..doc(2, "房租") },
            Doc { departments: 0b100, people: wang.clone(), ..doc(3, "房租") },
            Doc { is_confidential: true, ..doc(4, "房租") },
            Doc { is_confidential: true, people: wang.clone(), lead_department: 2, ..doc(5, "房租") },
            Doc { departments: 0, lead_department: 0, ..doc(6, "房租") },
        ]);
        let sees = |departments, names: &[String], confidential_departments| {
            ids_for(&index, "房租", &Reader { departments, names, confidential_departments })
        };
        assert_eq!(sees(1, &[], 0), [1], "an agent: the department's, no confidential ones");
        assert_eq!(sees(0b10, &[], 0), [2], "an assisting department sees it, too");
        assert_eq!(sees(1, &wang, 0), [5, 3, 1], "what names them they see");
        assert_eq!(sees(1, &[], 1), [4, 1], "a lead");
        assert_eq!(sees(ALL, &[], 0), [6, 3, 2, 1]);
        assert_eq!(sees(ALL, &[], ALL), [6, 5, 4, 3, 2, 1]);
        assert_eq!(sees(0, &[], 0), NOBODY);
        assert_eq!(sees(0, &texts(&["王"]), 0), NOBODY, "a name is a whole name");
        let everywhere = Reader { departments: 1, names: &[], confidential_departments: 0 };
        assert_eq!(ids_for(&index, "1124-004", &everywhere), NOBODY, "a number opens nothing either");
    }

    #[test]
    fn nothing_people_type_is_an_error() {
        let (_dir, index) = index_of(vec![doc(1, "房租 (a OR b) text:x* 100%")]);
        for odd in
            ["", "   ", "，。！？", "\"", "*", "-", "AND", "(((", "text:房租 OR", "\0", "🈚️", "\u{10ffff}"]
        {
            index.search(odd, &EVERYTHING, 50).unwrap();
        }
        assert_eq!(ids(&index, "，。！"), NOBODY);
        assert_eq!(
            ids(&index, &format!("房租 {}", "很".repeat(10_000))),
            NOBODY,
            "the end is cut, not the search"
        );
        assert_eq!(
            ids(&index, "房租 a b text x 100 or a 房 没有的词"),
            [1],
            "the ninth word is not looked for"
        );
    }

    #[test]
    fn what_is_put_again_is_replaced_and_what_is_removed_is_gone() {
        let (dir, mut index) = index_of(vec![doc(1, "房租"), doc(2, "房租")]);
        index.put(vec![Doc { stamp: 99, ..doc(1, "社保") }]).unwrap();
        index.remove(2).unwrap();
        assert_eq!(ids(&index, "房租"), [2, 1], "not before the commit");
        index.commit().unwrap();
        assert_eq!((ids(&index, "房租"), ids(&index, "社保")), (vec![], vec![1]));
        assert_eq!((index.n_docs(), index.stamps().unwrap()), (1, HashMap::from([(1, 99)])));
        assert!(index.bytes().unwrap() > 100);
        drop(index);
        let (index, opened) = Index::open(dir.path()).unwrap();
        assert_eq!((opened, ids(&index, "社保")), (Opened::AsLeft, vec![1]));
    }

    #[test]
    fn many_small_commits_make_few_parts_and_lose_nothing() {
        let (_dir, mut index) = index_of(Vec::new());
        for n in 1..=40 {
            index.put(vec![doc(n, "房租"), doc(n % 3 + 100, "社保")]).unwrap();
            index.commit().unwrap();
            index.tidy().unwrap();
        }
        let parts = index.index.searchable_segment_metas().unwrap().len();
        assert!(parts < 2 * MERGE_AT, "{parts}");
        assert!(index.strangers().unwrap().is_empty(), "merged parts leave no files");
        assert_eq!(ids(&index, "房租"), (1..=40).rev().collect::<Vec<_>>());
        assert_eq!(ids(&index, "社保").len(), 3);
    }

    /// Whether a name that is one term stands in a file: in a dictionary its bytes stand backwards, each beside one that says
    /// how it goes on.
    fn shows(dir: &Path, name: &str) -> bool {
        let backwards: Vec<u8> = name.bytes().rev().collect();
        let stands_in = |bytes: &[u8]| {
            [1, 2].iter().any(|step| {
                (0..bytes.len()).any(|at| {
                    let mut there = bytes[at..].iter().step_by(*step);
                    backwards.iter().all(|byte| there.next() == Some(byte))
                })
            })
        };
        let paths = std::fs::read_dir(dir).unwrap().map(|item| item.unwrap().path());
        paths.filter(|path| path.is_file()).any(|path| stands_in(&std::fs::read(path).unwrap()))
    }

    #[test]
    fn after_a_purge_no_file_has_anything_of_what_was_removed() {
        let name = "龘靐齾龗";
        let people = texts(&[name]);
        let (dir, mut index) =
            index_of(vec![doc(1, "房租"), Doc { people, ..doc(2, "zqx") }, doc(3, "齉爩")]);
        let knows = |index: &Index, term: &str| {
            let (searcher, field) = (index.finder.reader.searcher(), index.finder.fields.text);
            let term = Term::from_field_text(field, term);
            let knows = |part: &tantivy::SegmentReader| {
                part.inverted_index(field).unwrap().get_term_info(&term).unwrap().is_some()
            };
            searcher.segment_readers().iter().any(knows)
        };
        // One part, so that the removed lie among what stays, and are not enough to have it written anew.
        index.put((10..20).map(|n| doc(n, "社保")).collect()).unwrap();
        index.commit().unwrap();
        let parts: Vec<_> = index.index.searchable_segment_ids().unwrap();
        index.writer().unwrap().merge(&parts).wait().unwrap();
        index.remove(2).unwrap();
        index.put(vec![doc(3, "社保")]).unwrap();
        index.commit().unwrap();
        assert_eq!(index.n_removed(), 2);
        assert!(knows(&index, "zqx") && knows(&index, "齉爩") && shows(dir.path(), name));
        let left_by_a_crash = dir.path().join("0123456789abcdef0123456789abcdef.idx");
        std::fs::write(&left_by_a_crash, name).unwrap();
        let search_under_way = index.finder.reader.searcher();
        index.purge().unwrap();
        assert!(!left_by_a_crash.exists());
        drop(search_under_way);
        assert_eq!(index.n_removed(), 0);
        assert!(!knows(&index, "zqx") && !knows(&index, "齉爩") && !shows(dir.path(), name));
        assert!(index.strangers().unwrap().is_empty());
        assert_eq!((ids(&index, "房租"), ids(&index, "社保").len()), (vec![1], 11));
        for (id, _) in index.stamps().unwrap() {
            index.remove(id).unwrap();
        }
        index.purge().unwrap();
        assert_eq!((index.n_docs(), index.n_removed(), knows(&index, "房租")), (0, 0, false));
    }

    #[test]
    fn of_a_ticket_without_end_the_beginning_is_found() {
        let long = ["房租", &"很长".repeat(120_000), "社保"].join("，");
        let (_dir, index) = index_of(vec![Doc { text: texts(&[&long, "补贴"]), ..doc(1, "") }]);
        assert_eq!(ids(&index, "房租 很长很长"), [1]);
        assert_eq!((ids(&index, "社保"), ids(&index, "补贴")), (vec![], vec![]));
    }

    #[test]
    fn a_damaged_index_or_one_of_another_form_is_begun_anew() {
        let (dir, index) = index_of(vec![doc(1, "房租")]);
        drop(index);
        std::fs::write(dir.path().join("别人的文件.txt"), "x").unwrap();
        let files = || std::fs::read_dir(dir.path()).unwrap().map(|item| item.unwrap().path());
        let term_file = || files().find(|path| path.extension().is_some_and(|ext| ext == "term")).unwrap();
        let breakings: [(&str, &dyn Fn()); 5] = [
            ("a byte changed", &|| {
                let mut bytes = std::fs::read(term_file()).unwrap();
                bytes[3] ^= 1;
                std::fs::write(term_file(), bytes).unwrap();
            }),
            ("a file cut short", &|| std::fs::write(term_file(), b"x").unwrap()),
            ("a file missing", &|| std::fs::remove_file(term_file()).unwrap()),
            ("no list of parts", &|| std::fs::write(dir.path().join(META), b"{").unwrap()),
            ("another form", &|| {
                let meta = std::fs::read_to_string(dir.path().join(META)).unwrap();
                std::fs::write(dir.path().join(META), meta.replace("text_1", "text_0")).unwrap();
            }),
        ];
        for (what, breaks) in breakings {
            breaks();
            let (mut index, opened) = Index::open(dir.path()).unwrap();
            assert!(matches!(opened, Opened::Anew(_)), "{what}: {opened:?}");
            assert_eq!(index.n_docs(), 0, "{what}");
            index.put(vec![doc(1, "房租")]).unwrap();
            index.commit().unwrap();
            assert_eq!(ids(&index, "房租"), [1], "{what}");
        }
        assert!(dir.path().join("别人的文件.txt").exists());
        assert!(matches!(Index::open(dir.path()).unwrap().1, Opened::AsLeft));
    }

    #[test]
    fn a_folder_is_written_by_one_only() {
        let (dir, index) = index_of(vec![doc(1, "房租")]);
        let error = Index::open(dir.path()).unwrap_err();
        assert!(matches!(error, SearchError::Locked(_)), "{error}");
        drop(index);
        assert!(Index::open(dir.path()).is_ok());
    }
}
