//! The templates an account has chosen at WeChat for its notices, and what may stand in their fields (PROTOCOL.md §8–9).
//! Knows no followers.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// WeChat lets an account use so many.
const MAX_TEMPLATES: usize = 25;
/// What has no rule of its own.
const MOST_CHARS: usize = 200;

/// One template.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// WeChat's name for it.
    pub id: String,
    /// What stands over a notice.
    pub title: String,
    /// A line a field: `答复时间:{{time3.DATA}}`. What a field takes follows from its name.
    pub content: String,
    /// How it may be sent.
    pub kind: TemplateKind,
}

/// How a template may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TemplateKind {
    /// A subscribe notification; a consent is good for one (一次性).
    Once,
    /// A subscribe notification; a consent is good until it is taken back (长期).
    Always,
    /// A template message, without consent.
    Message,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    template: Vec<Template>,
}

impl Template {
    /// The templates of a TOML file: `[[template]]` with `id`, `title`, `content` and `kind` (`once`, `always` or
    /// `message`). The error is a sentence.
    pub fn read_all(toml: &str) -> Result<Vec<Self>, String> {
        let file: File = toml::from_str(toml).map_err(|error| error.message().to_owned())?;
        for (n, template) in file.template.iter().enumerate() {
            let id = &template.id;
            if id.is_empty() || template.title.is_empty() || template.fields().is_empty() {
                return Err(format!("模板“{id}”要有 id、title，content 里至少要有一个 {{{{名.DATA}}}}"));
            }
            if file.template[..n].iter().any(|other| other.id == *id) {
                return Err(format!("两个模板的 id 都是 {id}"));
            }
        }
        if file.template.len() > MAX_TEMPLATES {
            return Err(format!("模板有 {} 个，最多 {MAX_TEMPLATES} 个", file.template.len()));
        }
        Ok(file.template)
    }

    /// What an account of this kind would have: two of each way of sending.
    pub fn defaults() -> Vec<Self> {
        let template = |id: &str, title: &str, kind, lines: &[&str]| Self {
            id: id.to_owned(),
            title: title.to_owned(),
            content: lines.join("\n"),
            kind,
        };
        let (number, about, at) =
            ("咨询编号:{{character_string1.DATA}}", "咨询事项:{{thing2.DATA}}", "答复时间:{{time3.DATA}}");
        vec![
            template(
                "fake_subscribe_answered_long_term_000000001",
                "咨询答复通知",
                TemplateKind::Always,
                &[number, about, at, "温馨提示:{{thing4.DATA}}"],
            ),
            template(
                "fake_subscribe_progress_one_time_0000000002",
                "办理进度提醒",
                TemplateKind::Once,
                &["事项名称:{{thing1.DATA}}", "当前状态:{{phrase2.DATA}}", "更新时间:{{time3.DATA}}"],
            ),
            template(
                "fake_template_answered_00000000000000000003",
                "咨询回复提醒",
                TemplateKind::Message,
                &[number, about, at],
            ),
            template(
                "fake_template_accepted_00000000000000000004",
                "咨询受理通知",
                TemplateKind::Message,
                &[number, about, "受理时间:{{time3.DATA}}"],
            ),
        ]
    }

    /// Labels and names of its fields.
    fn fields(&self) -> Vec<(&str, &str)> {
        let field = |line| {
            let (label, rest): (&str, &str) = str::split_once(line, "{{")?;
            let name = rest.split_once(".DATA}}")?.0.trim();
            Some((label.trim().trim_end_matches([':', '：']), name))
        };
        self.content.lines().filter_map(field).collect()
    }

    /// The labels with what `data` says to them; the error names the first field WeChat would not take.
    pub(super) fn filled(&self, data: &Value) -> Result<Vec<(String, String)>, String> {
        let fields = self.fields().into_iter();
        let filled = fields.map(|(label, name)| {
            let value = &data[name]["value"];
            let value = value.as_str().map(str::to_owned).unwrap_or_else(|| match value {
                Value::Number(number) => number.to_string(),
                _ => String::new(),
            });
            if takes(name, &value) { Ok((label.to_owned(), value)) } else { Err(name.to_owned()) }
        });
        filled.collect()
    }

    /// As `/wxaapi/newtmpl/gettemplate` lists it.
    pub(super) fn as_subscribe(&self) -> Value {
        let kind = if self.kind == TemplateKind::Once { 2 } else { 3 };
        json!({
            "priTmplId": self.id, "title": self.title, "content": self.content, "example": "", "type": kind,
        })
    }

    /// As `/cgi-bin/template/get_all_private_template` lists it.
    pub(super) fn as_message(&self) -> Value {
        json!({
            "template_id": self.id, "title": self.title, "primary_industry": "政府与公共事业",
            "deputy_industry": "公共事业", "content": self.content, "example": "",
        })
    }
}

/// Whether a field of that name takes the value.
fn takes(name: &str, value: &str) -> bool {
    let n_chars = value.chars().count();
    if value.trim().is_empty() || value.contains(['\n', '\r']) {
        return false;
    }
    let han = |c: char| !c.is_ascii();
    let digits = value.chars().filter(char::is_ascii_digit).count();
    match name.trim_end_matches(|c: char| c.is_ascii_digit()) {
        "thing" => n_chars <= 20,
        "short_thing" => n_chars <= 5,
        "character_string" => n_chars <= 32 && value.is_ascii(),
        "letter" => n_chars <= 32 && value.chars().all(|c| c.is_ascii_alphabetic()),
        "symbol" => n_chars <= 5,
        "number" => n_chars <= 32 && value.parse::<f64>().is_ok(),
        "amount" => digits > 0 && digits <= 10,
        "phone_number" => n_chars <= 17 && digits > 0 && value.is_ascii(),
        "car_number" => n_chars <= 8,
        "name" if value.chars().all(han) => n_chars <= 10,
        "name" => n_chars <= 20,
        "phrase" => n_chars <= 5 && value.chars().all(han),
        "time" => has_time(value),
        "date" => is_date(value),
        _ => n_chars <= MOST_CHARS,
    }
}

/// `15:01`, or a date and a time.
fn has_time(value: &str) -> bool {
    let (date, time) = value.rsplit_once(' ').unwrap_or(("", value));
    let mut parts = time.split(':');
    let mut below = |most: u8| parts.next().is_some_and(|part| part.parse::<u8>().is_ok_and(|n| n < most));
    let timed = below(24) && below(60);
    timed
        && parts.next().is_none_or(|s| s.parse::<u8>().is_ok_and(|n| n < 60))
        && (date.is_empty() || is_date(date))
        || is_date(value)
}

/// `2026年11月24日` or with dashes, slashes or dots; with a time after it too.
fn is_date(value: &str) -> bool {
    let date = value.split(' ').next().unwrap_or_default();
    let parts: Vec<&str> =
        date.split(['年', '月', '日', '-', '/', '.']).filter(|part| !part.is_empty()).collect();
    let [year, month, day] = parts[..] else { return false };
    let within = |part: &str, from: u16, to: u16| part.parse::<u16>().is_ok_and(|n| (from..=to).contains(&n));
    year.len() == 4 && within(year, 1, 9999) && within(month, 1, 12) && within(day, 1, 31)
}

#[cfg(test)]
mod tests {
    use super::{Template, takes};
    use serde_json::json;

    #[test]
    fn a_field_takes_what_its_name_says() {
        let (twenty, long) = ("字".repeat(20), "字".repeat(21));
        for (name, good, bad) in [
            ("thing2", twenty.as_str(), long.as_str()),
            ("thing2", "一行", "两\n行"),
            ("short_thing1", "五个字以内", "六个字不可以"),
            ("character_string1", "1124-007", "编号"),
            ("number9", "12.5", "十二"),
            ("phrase2", "已答复", "answered"),
            ("time3", "2026年11月24日 15:01", "明天"),
            ("time3", "15:01", "25:01"),
            ("date3", "2026-11-24", "2026-13-24"),
            ("amount1", "¥120.50元", "很多"),
            ("phone_number1", "021-64981234", "电话"),
            ("name1", "王敏", "一二三四五六七八九十一"),
        ] {
            assert!(takes(name, good), "{name} {good}");
            assert!(!takes(name, bad), "{name} {bad}");
            assert!(!takes(name, ""), "{name}");
        }
    }

    #[test]
    fn a_notice_has_its_labels_and_the_first_wrong_field_is_named() {
        let template = &Template::defaults()[1];
        let value = |text: &str| json!({ "value": text });
        let mut data =
            json!({ "thing1": value("房租"), "phrase2": value("已答复"), "time3": value("15:01") });
        let rows = template.filled(&data).unwrap();
        assert_eq!(rows[1], ("当前状态".to_owned(), "已答复".to_owned()));
        data["phrase2"] = value("已经有了答复");
        assert_eq!(template.filled(&data), Err("phrase2".to_owned()));
        assert_eq!(template.filled(&json!({})), Err("thing1".to_owned()));
    }

    #[test]
    fn templates_of_a_file_are_checked() {
        let one =
            "[[template]]\nid = \"a\"\ntitle = \"甲\"\nkind = \"once\"\ncontent = \"乙:{{thing1.DATA}}\"\n";
        assert_eq!(Template::read_all(one).unwrap().len(), 1);
        assert!(Template::read_all(&one.repeat(2)).unwrap_err().contains("都是 a"));
        assert!(Template::read_all(&one.replace("once", "never")).is_err());
        assert!(Template::read_all(&one.replace(".DATA", "")).unwrap_err().contains("DATA"));
    }
}
