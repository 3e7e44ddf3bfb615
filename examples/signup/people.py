"""Names of people by language, in their own script and in ASCII, for `make_events`. Data only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

Spelled = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """How people of one language are called.

    Attributes:
        locales: What their browsers say.
        given, family: (as written, in ASCII for an address).
        family_first: Order in which the names are written.
        between: What stands between them.
    """

    locales: tuple[str, ...]
    given: Spelled
    family: Spelled
    family_first: bool = False
    between: str = " "


def _spelled(text: str) -> Spelled:
    """`"Zoë/zoe Ada"` -> (("Zoë", "zoe"), ("Ada", "ada"))"""
    pairs = (word.partition("/") for word in text.split())
    return tuple((name, ascii_name or name.lower()) for name, _, ascii_name in pairs)


PEOPLE: Final = (
    People(
        locales=("en-US", "en-GB", "en-CA", "en-AU", "en-IN"),
        given=_spelled("Ada Grace Oliver Amelia Noah Isla Ethan Ruby Leo Maya Owen Priya Caleb Nora Siobhán/siobhan"),
        family=_spelled("Smith Jones O’Brien/obrien Taylor Brown Walker Patel Hughes Reed Campbell Nguyen Baker"),
    ),
    People(
        locales=("de-DE", "de-AT", "de-CH"),
        given=_spelled("Jürgen/juergen Anneliese Björn/bjoern Käthe/kaethe Lukas Mia Jonas Sören/soeren Lena Felix"),
        family=_spelled("Müller/mueller Schmidt Weiß/weiss Schröder/schroeder Köhler/koehler Huber Fischer Groß/gross"),
    ),
    People(
        locales=("fr-FR", "fr-CA", "fr-BE"),
        given=_spelled("Zoë/zoe François/francois Hélène/helene Noël/noel Chloé/chloe Théo/theo Inès/ines Luc"),
        family=_spelled("Lefèvre/lefevre Dubois Moreau Gagné/gagne Benoît/benoit Fournier Château/chateau Roy"),
    ),
    People(
        locales=("es-ES", "es-MX", "es-AR"),
        given=_spelled("José/jose María/maria Íñigo/inigo Lucía/lucia Andrés/andres Sofía/sofia Núria/nuria Pablo"),
        family=_spelled("García/garcia Muñoz/munoz Peña/pena López/lopez Ibáñez/ibanez Torres Núñez/nunez Vega"),
    ),
    People(
        locales=("pt-BR", "pt-PT"),
        given=_spelled(
            "João/joao Conceição/conceicao Antônio/antonio Inês/ines Luís/luis Beatriz Caio Letícia/leticia"
        ),
        family=_spelled("Araújo/araujo Gonçalves/goncalves Magalhães/magalhaes Silva Souza Brandão/brandao Lima"),
    ),
    People(
        locales=("pl-PL",),
        given=_spelled(
            "Łukasz/lukasz Małgorzata/malgorzata Paweł/pawel Agnieszka Grzegorz Zofia Świętosława/swietoslawa"
        ),
        family=_spelled("Wójcik/wojcik Kowalczyk Dąbrowska/dabrowska Żak/zak Wiśniewski/wisniewski Nowak Gołąb/golab"),
    ),
    People(
        locales=("tr-TR",),
        given=_spelled("Ayşe/ayse Çağlar/caglar Gülşen/gulsen İbrahim/ibrahim Ömer/omer Işıl/isil Deniz Emre"),
        family=_spelled("Yılmaz/yilmaz Öztürk/ozturk Şahin/sahin Çelik/celik Aydın/aydin Demir Güneş/gunes"),
    ),
    People(
        locales=("uk-UA",),
        given=_spelled("Олена/olena Тарас/taras Ірина/iryna Богдан/bohdan Оксана/oksana Андрій/andrii Софія/sofiia"),
        family=_spelled("Шевченко/shevchenko Коваль/koval Мельник/melnyk Бойко/boiko Кравець/kravets Гончар/honchar"),
    ),
    People(
        locales=("el-GR", "el-CY"),
        given=_spelled("Γιώργος/giorgos Ελένη/eleni Νίκος/nikos Κατερίνα/katerina Δημήτρης/dimitris Σοφία/sofia"),
        family=_spelled("Παπαδόπουλος/papadopoulos Νικολάου/nikolaou Γεωργίου/georgiou Ιωάννου/ioannou Βλάχος/vlachos"),
    ),
    People(
        locales=("ar-EG", "ar-MA", "ar-AE"),
        given=_spelled("محمد/mohamed فاطمة/fatima يوسف/youssef ليلى/layla عمر/omar نور/nour سلمى/salma"),
        family=_spelled("حداد/haddad المصري/elmasry خليل/khalil منصور/mansour نجار/najjar سالم/salem"),
    ),
    People(
        locales=("he-IL",),
        given=_spelled("נועה/noa דוד/david תמר/tamar איתי/itai מיכל/michal יונתן/yonatan"),
        family=_spelled("כהן/cohen לוי/levi מזרחי/mizrahi פרץ/peretz ביטון/biton"),
    ),
    People(
        locales=("hi-IN",),
        given=_spelled("आरव/aarav अनन्या/ananya विवान/vivaan दीया/diya अर्जुन/arjun मीरा/meera"),
        family=_spelled("शर्मा/sharma वर्मा/verma गुप्ता/gupta सिंह/singh जोशी/joshi"),
    ),
    People(
        locales=("th-TH",),
        given=_spelled("สมชาย/somchai มาลี/malee อนันต์/anan กานดา/kanda ปรีชา/preecha"),
        family=_spelled("ใจดี/jaidee ศรีสุข/srisuk ทองคำ/thongkham บุญมี/boonmee"),
    ),
    People(
        locales=("ja-JP",),
        given=_spelled("陽翔/haruto 結衣/yui 蓮/ren さくら/sakura 健太/kenta 美咲/misaki"),
        family=_spelled("佐藤/sato 鈴木/suzuki 高橋/takahashi 田中/tanaka 渡辺/watanabe 小林/kobayashi"),
        family_first=True,
    ),
    People(
        locales=("zh-CN", "zh-TW"),
        given=_spelled("伟/wei 秀英/xiuying 子轩/zixuan 欣怡/xinyi 浩然/haoran 诗涵/shihan"),
        family=_spelled("王/wang 李/li 张/zhang 刘/liu 陈/chen 欧阳/ouyang"),
        family_first=True,
        between="",
    ),
    People(
        locales=("ko-KR",),
        given=_spelled("민준/minjun 서연/seoyeon 도윤/doyun 지우/jiwoo 하은/haeun 준호/junho"),
        family=_spelled("김/kim 이/lee 박/park 최/choi 정/jung"),
        family_first=True,
        between="",
    ),
)

COMPANIES: Final = (
    "Aurora Freight",
    "Bäckerei am Markt",
    "Blue Heron Books",
    "Cooperativa Solís",
    "Delta Görüş",
    "Ferme des Étoiles",
    "Kite & Lantern",
    "Northwind Dental",
    "Опора Логістика",
    "Πλατεία Design",
    "さくら工房",
    "星海科技",
    "한빛 미디어",
)
