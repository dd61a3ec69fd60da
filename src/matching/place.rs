//! Which region a text names. Knows Chinese place names and how regions contain each other; nothing of policy.

use aho_corasick::{AhoCorasick, Match, MatchKind};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

/// Where a rule holds, from wide to narrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Region {
    /// National law and policy.
    #[serde(rename = "国家")]
    Nation,
    /// The municipality.
    #[serde(rename = "上海市")]
    Shanghai,
    /// The district.
    #[serde(rename = "闵行区")]
    Minhang,
    /// The township.
    #[serde(rename = "莘庄镇")]
    Xinzhuang,
}

impl Region {
    /// The name as it stands in knowledge files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nation => "国家",
            Self::Shanghai => "上海市",
            Self::Minhang => "闵行区",
            Self::Xinzhuang => "莘庄镇",
        }
    }
}

/// A place a question names: the widest region whose rules hold there, and its name as written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The name as the text has it.
    pub name: String,
    /// Rules of this region and wider ones hold there.
    pub within: Region,
}

impl Place {
    /// Whether a rule of `region` may be told to somebody who asks about this place.
    pub fn is_under(&self, region: Region) -> bool {
        region <= self.within
    }
}

/// Provinces, prefecture-level cities and the like outside Shanghai, as people call them. Names that are also everyday words
/// are left out.
const ELSEWHERE: &str = "北京 天津 河北 山西 内蒙古 辽宁 吉林 黑龙江 江苏 浙江 安徽 福建 江西 山东 河南 湖北 湖南 广东 广西 海南 重庆 \
四川 贵州 云南 西藏 陕西 甘肃 青海 宁夏 新疆 香港 澳门 台湾 石家庄 唐山 秦皇岛 邯郸 邢台 保定 张家口 承德 沧州 廊坊 衡水 太原 阳泉 \
长治 晋城 朔州 晋中 运城 忻州 临汾 吕梁 呼和浩特 包头 乌海 赤峰 通辽 鄂尔多斯 呼伦贝尔 沈阳 大连 鞍山 抚顺 本溪 丹东 锦州 营口 阜新 \
辽阳 盘锦 铁岭 葫芦岛 长春 四平 辽源 通化 白山 松原 白城 延边 哈尔滨 齐齐哈尔 鸡西 鹤岗 双鸭山 大庆 伊春 佳木斯 七台河 牡丹江 黑河 \
绥化 南京 无锡 徐州 常州 苏州 南通 连云港 淮安 盐城 扬州 镇江 泰州 宿迁 昆山 太仓 常熟 张家港 江阴 杭州 宁波 温州 嘉兴 湖州 绍兴 金华 \
衢州 舟山 台州 丽水 义乌 合肥 芜湖 蚌埠 淮南 马鞍山 淮北 铜陵 安庆 黄山 滁州 阜阳 宿州 六安 亳州 池州 宣城 福州 厦门 莆田 三明 泉州 \
漳州 南平 龙岩 宁德 南昌 景德镇 萍乡 九江 新余 鹰潭 赣州 宜春 抚州 上饶 济南 青岛 淄博 枣庄 东营 烟台 潍坊 济宁 泰安 威海 日照 临沂 \
德州 聊城 滨州 菏泽 郑州 开封 洛阳 平顶山 安阳 鹤壁 新乡 焦作 濮阳 许昌 漯河 三门峡 南阳 商丘 信阳 周口 驻马店 武汉 黄石 十堰 宜昌 \
襄阳 鄂州 荆门 孝感 荆州 黄冈 咸宁 随州 恩施 长沙 株洲 湘潭 衡阳 邵阳 岳阳 常德 张家界 益阳 郴州 永州 怀化 娄底 广州 韶关 深圳 珠海 \
汕头 佛山 江门 湛江 茂名 肇庆 惠州 梅州 汕尾 河源 阳江 清远 东莞 中山市 潮州 揭阳 云浮 南宁 柳州 桂林 梧州 北海市 防城港 钦州 贵港 \
玉林 百色 贺州 河池 来宾市 崇左 海口 三亚 儋州 成都 自贡 攀枝花 泸州 德阳 绵阳 广元 遂宁 内江 乐山 南充 眉山 宜宾 广安 达州 雅安 巴中 \
资阳 贵阳 六盘水 遵义 安顺 毕节 铜仁 昆明 曲靖 玉溪 保山 昭通 丽江 普洱 临沧 大理 拉萨 西安 铜川 宝鸡 咸阳 渭南 延安 汉中 榆林 安康 \
商洛 兰州 嘉峪关 金昌 白银市 天水 武威 张掖 平凉 酒泉 庆阳 定西 陇南 西宁 海东 银川 石嘴山 吴忠 固原 中卫 乌鲁木齐 克拉玛依 吐鲁番 \
哈密 西湖边 西湖区 西湖景区 余杭 萧山 临安 富阳 桐庐 嘉善 海宁 桐乡 平湖 海盐 慈溪 余姚 \
诸暨 德清 安吉 长兴县 吴江 花桥 启东 海门 宜兴 靖江 丹阳 溧阳 句容 如皋 江宁区 海淀 丰台区 天河区 福田区 龙岗 番禺 外省 外地公司 老家那边";

/// Every county, city and district outside Shanghai by its full name (the statistics bureau's division codes of 2023), then by
/// the short name, where that is no everyday word and no accident of two words side by side.
const COUNTIES: &str = include_str!("places.txt");

/// Other districts of Shanghai; the part before 区 where it is unmistakable.
const OTHER_DISTRICTS: &str = "浦东 黄浦区 徐汇 长宁区 静安区 普陀区 虹口 杨浦 宝山区 嘉定 金山区 松江 青浦 奉贤 崇明 张江 临港 陆家嘴 \
漕河泾 九亭 泗泾 洞泾 车墩 佘山 新桥镇 川沙 周浦 三林 北蔡 南翔 安亭 江桥镇 大场 顾村 徐泾 赵巷 朱家角 南桥 五角场 徐家汇 静安寺 曹杨";

/// Other towns of Minhang.
const OTHER_TOWNS: &str = "七宝 颛桥 华漕 虹桥镇 梅陇 吴泾 马桥镇 浦江镇 江川路街道 古美 新虹街道 浦锦";

const SHANGHAI: &str = "上海 本市 沪";
const MINHANG: &str = "闵行";
const XINZHUANG: &str = "莘庄";

/// A place name followed by one of these is a street or a trade name, not where the question is about.
const NOT_A_PLACE: [&str; 17] = [
    "路",
    "街",
    "大道",
    "东路",
    "西路",
    "南路",
    "北路",
    "中路",
    "河",
    "菜",
    "面馆",
    "拉面",
    "小吃",
    "银行",
    "来的",
    "籍",
    "过来的",
];

/// The names, found all at once, and what each stands for.
struct Names {
    automaton: AhoCorasick,
    /// The widest region whose rules hold there.
    within: Vec<Region>,
    /// One number for both names of a place: 杭州市 has that of 杭州.
    place: Vec<u16>,
}

static NAMES: LazyLock<Names> = LazyLock::new(|| {
    // A name that stands in two lists (普陀区) counts as the nearer place.
    let lists = [
        (XINZHUANG, Region::Xinzhuang),
        (MINHANG, Region::Xinzhuang),
        (SHANGHAI, Region::Xinzhuang),
        (OTHER_TOWNS, Region::Minhang),
        (OTHER_DISTRICTS, Region::Shanghai),
        (ELSEWHERE, Region::Nation),
        (COUNTIES, Region::Nation),
    ];
    let names: Vec<(&str, Region)> = lists
        .iter()
        .flat_map(|(list, region)| list.split_whitespace().map(move |name| (name, *region)))
        .collect();
    let mut numbers: FxHashMap<&str, u16> = FxHashMap::default();
    for (number, (name, _)) in names.iter().enumerate() {
        numbers.entry(name).or_insert(number as u16);
    }
    let place = |(name, _): &(&str, Region)| {
        let short = name.strip_suffix(['市', '县', '区']).and_then(|short| numbers.get(short));
        short.or_else(|| numbers.get(name)).copied().unwrap_or_default()
    };
    let place = names.iter().map(place).collect();
    let automaton = AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostLongest)
        .build(names.iter().map(|(name, _)| name))
        .expect("a few thousand short constant names always build");
    Names { automaton, within: names.into_iter().map(|(_, region)| region).collect(), place }
});

impl Names {
    /// Every name in a text that stands for a place there.
    fn find<'t>(&'t self, text: &'t str) -> impl Iterator<Item = Match> + 't {
        let is_place = |end: usize| !NOT_A_PLACE.iter().any(|suffix| text[end..].starts_with(suffix));
        self.automaton.find_iter(text).filter(move |found| is_place(found.end()))
    }
}

/// Every place a text names, here or elsewhere, by a number of its own. Sorted, each once.
pub fn places(text: &str) -> Vec<u16> {
    let names = &*NAMES;
    let mut found: Vec<u16> = names.find(text).map(|found| names.place[found.pattern().as_usize()]).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// The places a text names that lie outside the township's own reach; a question about 上海 or 闵行 in general
/// counts as one from here. `None` when no foreign place is named.
pub fn foreign_place(text: &str) -> Option<Place> {
    let names = &*NAMES;
    let mut widest: Option<Place> = None;
    for found in names.find(text) {
        let within = names.within[found.pattern().as_usize()];
        if within < Region::Xinzhuang && widest.as_ref().is_none_or(|place| within < place.within) {
            widest = Some(Place { name: text[found.start()..found.end()].to_owned(), within });
        }
    }
    widest.or_else(|| nameless_place(text))
}

/// A county or a town that stands in no list: Shanghai has no county, and a town that is not one of ours may be anywhere.
fn nameless_place(text: &str) -> Option<Place> {
    /// Before 镇 these make a word, or say which of ours is meant.
    const NO_NAME: &str = "城乡本我全各该小古重冰坐们的这那个一两集在是到村街";
    const NAME_CHARS: usize = 2;
    let known: Vec<_> = NAMES.automaton.find_iter(text).map(|found| found.start()..=found.end()).collect();
    for (at, suffix) in text.char_indices().filter(|(_, c)| matches!(c, '县' | '镇')) {
        let is_known = known.iter().any(|found| found.contains(&at));
        let before: Vec<(usize, char)> = text[..at].char_indices().rev().take(NAME_CHARS).collect();
        let is_name = before.len() == NAME_CHARS
            && before.iter().all(|(_, c)| super::text::is_han(*c) && !NO_NAME.contains(*c));
        let start = if is_name { before[NAME_CHARS - 1].0 } else { at };
        if !is_known && (is_name || suffix == '县') {
            let name = text[start..at + suffix.len_utf8()].to_owned();
            return Some(Place { name, within: Region::Nation });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_province_is_under_national_rules_only() {
        let place = foreign_place("北京的最低工资是多少").unwrap();
        assert_eq!(place.name, "北京");
        assert!(place.is_under(Region::Nation));
        assert!(!place.is_under(Region::Shanghai));
    }

    #[test]
    fn another_district_is_under_the_citys_rules_and_another_town_under_the_districts() {
        let pudong = foreign_place("浦东有房租补贴吗").unwrap();
        assert!(pudong.is_under(Region::Shanghai) && !pudong.is_under(Region::Minhang));
        let qibao = foreign_place("七宝的厂房租金补贴").unwrap();
        assert!(qibao.is_under(Region::Minhang) && !qibao.is_under(Region::Xinzhuang));
    }

    #[test]
    fn here_is_no_foreign_place_and_a_street_is_no_city() {
        assert_eq!(foreign_place("上海闵行莘庄的店"), None);
        assert_eq!(foreign_place("南京路上的店"), None);
        assert_eq!(foreign_place("开了家兰州拉面馆"), None);
        for here in [
            "南京东路的店",
            "莘庄镇的店",
            "我们镇上",
            "城镇职工",
            "冰镇饮料",
            "徐州来的工人",
            "房东明天来",
            "知道里面",
        ] {
            assert_eq!(foreign_place(here), None, "{here}");
        }
    }

    #[test]
    fn a_county_counts_whether_it_stands_in_a_list_or_not() {
        for (text, name) in [
            ("余杭的企业有补贴吗", "余杭"),
            ("苍南的厂最低工资多少", "苍南"),
            ("延吉市的低保", "延吉市"),
            ("我老家无名县的厂", "无名县"),
            ("我们县里的厂房", "县"),
            ("练塘镇的厂房补贴", "练塘镇"),
        ] {
            let place = foreign_place(text).unwrap_or_else(|| panic!("{text}"));
            assert!(!place.is_under(Region::Shanghai), "{text}");
            assert_eq!(place.name, name);
        }
        assert_eq!(places("杭州市的厂"), places("厂在杭州"), "two names, one place");
        assert!(foreign_place("普陀区的店").unwrap().is_under(Region::Shanghai));
        assert!(foreign_place("七宝镇的店").unwrap().is_under(Region::Minhang));
    }
}
