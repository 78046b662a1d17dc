use thingward_model::description::NAMESPACE;

use super::*;

fn place() -> Place {
    let [tenant, gateway] = ["acme", "hall"];
    Place {
        tenant: tenant.parse().unwrap(),
        gateway: gateway.parse().unwrap(),
        prefix: "homeassistant".to_owned(),
    }
}

fn bulb() -> ThingDescription {
    let level = json!({"type": "integer", "unit": "%", "minimum": 0, "maximum": 100});
    let forms = json!([{"href": "x"}]);
    let property = |schema: Json| {
        let mut property = schema;
        property["forms"] = forms.clone();
        property["readOnly"] = true.into();
        property
    };
    let dim = json!({"type": "object", "required": ["level"], "properties": {"level": level,
        "transition": {"type": "number"}}});
    let document = json!({
        "@context": ["https://www.w3.org/2022/wot/td/v1.1", {"tw": NAMESPACE}],
        "title": "Dimmer", "securityDefinitions": {"auto_sc": {"scheme": "auto"}}, "security": "auto_sc",
        "properties": {
            "on": property(json!({"type": "boolean"})),
            "level": property(level.clone()),
            "power": property(json!({"type": "number", "unit": "W"})),
            "occupied": property(json!({"type": "boolean"})),
            "mode": property(json!({"type": "string"})),
        },
        "actions": {
            "turn-on": {"forms": forms}, "turn-off": {"forms": forms}, "toggle": {"forms": forms},
            "set-level": {"input": dim, "forms": forms},
            "set-heating-setpoint": {"input": {"type": "number", "unit": "Cel", "minimum": 5, "maximum": 30},
                "forms": forms},
            "play-tone": {"input": {"type": "object", "required": ["tone", "volume"], "properties": {
                "tone": {"type": "integer"}, "volume": {"type": "integer"}}}, "forms": forms},
        },
    });
    ThingDescription::parse(document.to_string().as_bytes()).unwrap()
}

fn shown(reads: &dyn Fn(&str) -> bool, calls: &dyn Fn(ActionName) -> bool) -> Vec<(String, Json)> {
    entities(&place(), "bulb.1".parse().unwrap(), &bulb(), &Rights { reads, calls })
}

fn kinds(all: &[(String, Json)]) -> Vec<String> {
    let kind = |(topic, _): &(String, Json)| {
        let parts: Vec<&str> = topic.split('/').collect();
        assert_eq!((parts[0], parts[2], parts[4]), ("homeassistant", "thingward-hall", "config"), "{topic}");
        format!("{} {}", parts[1], parts[3])
    };
    let mut kinds: Vec<String> = all.iter().map(kind).collect();
    kinds.sort();
    kinds
}

#[test]
fn a_dimmer_is_a_light_and_what_else_it_has_is_there_beside_it() {
    let all = shown(&|_| true, &|_| true);
    let want = [
        "binary_sensor bulb_2e_1_-_occupied",
        "button bulb_2e_1_-_toggle",
        "light bulb_2e_1_-_light",
        "number bulb_2e_1_-_set-heating-setpoint",
        "sensor bulb_2e_1_-_mode",
        "sensor bulb_2e_1_-_power",
    ];
    assert_eq!(kinds(&all), want);
    let of = |word: &str| &all.iter().find(|(topic, _)| topic.contains(word)).unwrap().1;
    let light = of("/light/");
    assert_eq!(light["command_topic"], "thingward/hall/bulb.1/do");
    assert_eq!(light["brightness_command_template"], r#"set-level {"level": {{ value }}}"#);
    assert_eq!(light["device"]["identifiers"], json!(["thingward-acme-bulb.1"]));
    let power = of("power");
    let words =
        ["device_class", "state_class", "unit_of_measurement", "state_topic"].map(|word| &power[word]);
    assert_eq!(words, ["power", "measurement", "W", "thingward/hall/bulb.1/state/power"]);
    assert_eq!(of("occupied")["device_class"], "occupancy");
    let setpoint = of("setpoint");
    assert_eq!((&setpoint["min"], &setpoint["max"]), (&json!(5.0), &json!(30.0)));
    assert_eq!(setpoint["command_template"], "set-heating-setpoint {{ value }}");
    assert_eq!(setpoint["unit_of_measurement"], "°C");
}

#[test]
fn what_may_not_be_read_or_called_is_not_offered() {
    assert_eq!(kinds(&shown(&|_| false, &|_| false)), Vec::<String>::new());
    let reads_only = kinds(&shown(&|_| true, &|_| false));
    let all_values = ["level", "mode", "occupied", "on", "power"];
    assert_eq!(reads_only.len(), all_values.len());
    assert!(reads_only.iter().all(|kind| kind.contains("sensor")), "{reads_only:?}");
    let not_dimmed = kinds(&shown(&|_| true, &|action| action.as_str() != "set-level"));
    assert!(not_dimmed.contains(&"switch bulb_2e_1_-_switch".to_owned()), "{not_dimmed:?}");
    let blind = kinds(&shown(&|_| false, &|action| action.as_str() == "toggle"));
    assert_eq!(blind, ["button bulb_2e_1_-_toggle"]);
}

#[test]
fn a_topic_leads_to_the_thing_that_it_is_about_and_to_none_of_another_gateway() {
    let place = place();
    let thing = "bulb.1".parse().unwrap();
    assert_eq!(place.ordered(&place.order(thing)), Some(thing));
    for wrong in [
        "thingward/hall2/bulb/do",
        "thingward/hall/do",
        "thingward/hall//do",
        "thingward/hall/a/b/do",
        "thingward/hall/bulb/answer",
        "thingward/hall/-/do",
    ] {
        assert_eq!(place.ordered(wrong), None, "{wrong}");
    }
}

#[test]
fn every_row_of_the_table_is_whole_and_there_once() {
    let mut seen = std::collections::BTreeSet::new();
    for line in TABLE.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!(cells.len(), 5, "{line}");
        assert!(seen.insert((cells[0], cells[1])), "{line}");
    }
}

#[test]
fn no_two_things_have_one_entity_and_no_name_becomes_a_template() {
    let place = place();
    let (lamp, other) = ("lamp".parse().unwrap(), "lamp-2".parse().unwrap());
    assert_ne!(place.config("sensor", lamp, "2-power"), place.config("sensor", other, "power"));
    assert_ne!(place.config("sensor", lamp, "a_b"), place.config("sensor", lamp, "a.b"));
    let names = |name: &str| {
        let level = json!({"type": "integer", "minimum": 0, "maximum": 9});
        let input = json!({"type": "object", "required": [name], "properties": {name: level}});
        let document = json!({
            "@context": "https://www.w3.org/2022/wot/td/v1.1", "title": "Thing", "security": "auto_sc",
            "securityDefinitions": {"auto_sc": {"scheme": "auto"}},
            "actions": {"set-it": {"input": input, "forms": [{"href": "x"}]}},
        });
        let thing = ThingDescription::parse(document.to_string().as_bytes()).unwrap();
        entities(&place, lamp, &thing, &Rights { reads: &|_| true, calls: &|_| true }).len()
    };
    assert_eq!((names("level"), names("{{ states('lock.door') }}"), names("a\"b")), (1, 0, 0));
}
