use super::*;

fn catalog(providers: &[(&str, ProviderConfig)], referenced: &[&str]) -> Catalog {
    let config =
        ModelsConfig { providers: providers.iter().map(|(id, given)| ((*id).to_owned(), given.clone())).collect() };
    let referenced: Vec<String> = referenced.iter().map(|name| (*name).to_owned()).collect();
    Catalog::build(&config, &referenced)
}

fn local(models: &[&str]) -> ProviderConfig {
    let model = |id: &&str| ModelConfig {
        id: (*id).to_owned(),
        name: (*id).to_owned(),
        reasoning: false,
        input: vec!["text".into()],
        context_window: 1000,
        max_tokens: 100,
        cost: ModelCost::default(),
        api: None,
    };
    ProviderConfig {
        base_url: Some("http://127.0.0.1:9/v1/".into()),
        models: models.iter().map(model).collect(),
        ..ProviderConfig::default()
    }
}

#[test]
fn references_split_at_the_first_slash_and_the_last_at() {
    for (raw, provider, model, profile) in [
        ("Anthropic/claude-x", "anthropic", "claude-x", None),
        ("openrouter/meta/llama:free", "openrouter", "meta/llama:free", None),
        ("openai/gpt@work", "openai", "gpt", Some("work")),
        ("openai/gpt@\"me@x.com\"", "openai", "gpt", Some("me@x.com")),
        ("cloud/@cf/meta/llama", "cloud", "@cf/meta/llama", None),
        ("cloud/@cf/meta/llama@work", "cloud", "@cf/meta/llama", Some("work")),
        ("z.ai/glm", "zai", "glm", None),
        ("bedrock/x", "amazon-bedrock", "x", None),
    ] {
        let parsed = ModelRef::parse(raw).unwrap();
        assert_eq!(
            (parsed.provider.as_str(), parsed.model.as_str(), parsed.profile.as_deref()),
            (provider, model, profile)
        );
    }
    for raw in ["", "gpt", "/gpt", "openai/", "a/b\n"] {
        assert!(ModelRef::parse(raw).is_err(), "{raw:?}");
    }
}

#[test]
fn without_configuration_there_is_the_demo() {
    let catalog = catalog(&[], &[]);
    assert_eq!(catalog.models().iter().map(|model| model.id.as_str()).collect::<Vec<_>>(), ["echo"]);
    let demo = catalog.default_model().unwrap();
    assert_eq!(demo.to_string(), "demo/echo");
    assert_eq!(catalog.resolve(&demo).unwrap().api, "demo");
    assert!(catalog.provider("demo").unwrap().credentials.keyless);
}

#[test]
fn configured_models_replace_the_demo_and_fill_in_defaults() {
    let catalog = catalog(&[("box", local(&["small", "large"]))], &[]);
    assert_eq!(catalog.models().len(), 2);
    assert_eq!(catalog.default_model().unwrap().to_string(), "box/small");
    let info = catalog.resolve(&ModelRef::parse("box/large").unwrap()).unwrap();
    assert_eq!((info.context_window, info.max_tokens), (1000, 100));
    let info = catalog.resolve(&ModelRef::parse("box/unlisted").unwrap()).unwrap();
    assert_eq!((info.context_window, info.max_tokens), (200_000, 8192));
    assert_eq!((info.api.as_str(), info.input.as_slice()), ("openai-completions", &["text".to_owned()][..]));
    let settings = catalog.provider("box").unwrap();
    assert_eq!(settings.base_url, "http://127.0.0.1:9/v1");
    assert!(settings.local && settings.credentials.keyless);
    assert_eq!(settings.credentials.env_names, ["BOX_API_KEY"]);
}

#[test]
fn names_are_found_by_id_and_full_name() {
    let catalog = catalog(&[("box", local(&["small", "a@b"])), ("rack", local(&["small"]))], &[]);
    assert_eq!(catalog.find("a@b").unwrap().to_string(), "box/a@b");
    assert_eq!(catalog.find("box/a@b").unwrap().profile, None);
    assert_eq!(catalog.find("rack/unlisted").unwrap().to_string(), "rack/unlisted");
    assert!(matches!(catalog.find("small"), Err(ModelRefError::UnknownName(_))));
    assert!(matches!(catalog.find("nope/x"), Err(ModelRefError::UnknownProvider(_))));
}

#[test]
fn a_referenced_vendor_is_available_and_wants_a_key() {
    let catalog = catalog(&[], &["anthropic/claude-x", "demo/echo", "nobody/x", "rubbish"]);
    let settings = catalog.provider("anthropic").unwrap();
    assert_eq!(settings.api, "anthropic-messages");
    assert!(!settings.credentials.keyless);
    assert_eq!(settings.credentials.env_names, ["ANTHROPIC_API_KEY"]);
    assert!(catalog.provider("nobody").is_none());
    assert_eq!(catalog.models().len(), 1, "the demo is listed when it is named");
}

#[test]
fn a_format_we_do_not_speak_is_named() {
    let odd = ProviderConfig { api: Some("carrier-pigeon".into()), ..local(&["x"]) };
    let catalog = catalog(&[("box", odd)], &[]);
    let error = catalog.resolve(&ModelRef::parse("box/x").unwrap()).unwrap_err();
    assert!(error.to_string().contains("carrier-pigeon"));
}

#[test]
fn tokens_are_priced_per_million() {
    let cost = ModelCost { input: 3.0, output: 15.0, cache_read: 0.3, cache_write: 3.75 };
    let mut usage = Usage { input: 1_000_000, output: 100_000, cache_read: 2_000_000, ..Usage::default() };
    price(&cost, &mut usage);
    assert!((usage.cost.total - (3.0 + 1.5 + 0.6)).abs() < 1e-9);
}
