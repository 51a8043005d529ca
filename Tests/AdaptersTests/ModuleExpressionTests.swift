import Testing

@testable import Adapters

/// Proves that expressions match what Python's `re.match(rf"(.*\.)?({key})$", name)` does, in a time that does not explode.
@Suite struct ModuleExpressionTests {
  @Test(
    "the end of a name is matched, from the beginning or behind a dot",
    arguments: [
      ("q_proj", "model.layers.0.q_proj", true), ("q_proj", "q_proj", true), ("proj", "model.q_proj", false),
      ("q_proj", "q_proj.x", false), (".*proj", "model.q_proj", true), ("^q_proj", "model.q_proj", false),
      ("^model.*proj", "model.q_proj", true), ("q_proj$", "model.q_proj", true), ("q$_proj", "q_proj", false),
      ("(q|k|v)_proj", "a.k_proj", true), ("(q|k|v)_proj", "a.o_proj", false), ("(?:to_)?q", "a.to_q", true),
      ("(?:to_)?q", "a.q", true), ("layers\\.[0-3]\\..*", "model.layers.2.mlp", true),
      ("layers\\.[0-3]\\..*", "model.layers.4.mlp", false), ("layers\\.[^0-3]\\.x", "layers.4.x", true),
      ("layers\\.\\d+\\.x", "layers.412.x", true), ("layers\\.\\d{2}\\.x", "layers.412.x", false),
      ("layers\\.\\d{2,3}\\.x", "layers.412.x", true), ("layers\\.\\d{2,}\\.x", "layers.4.x", false),
      ("layers\\.\\d{,2}\\.x", "layers.42.x", true), ("\\w+", "a.b_1", true), ("\\W", "a. ", true),
      ("\\S+", "a b", false),
      ("a|b", "x.b", true), ("a|b", "x.ab", false), ("a+?b*?", "aab", true), ("[a-c]+", "abc", true),
      ("[]a]+", "]a", true),
      ("[a-]+", "a-a", true), ("[\\d_]+", "1_2", true), ("x{", "x{", true), ("x{a}", "x{a}", true), ("", "a.", true),
      ("", "a", false), ("(a*)*", "aaa", true), ("(a|a)*b", "aaab", true), ("((){5}){5}x", "x", true),
      ("é.", "éa", true),
    ] as [(String, String, Bool)])
  func matching(text: String, name: String, isMatch: Bool) throws {
    #expect(try #require(ModuleExpression(text)).matchesEnd(of: name) == isMatch)
  }

  @Test(
    "what is no expression, and what would have to look back or ahead, is refused",
    arguments: [
      "(", ")", "(a", "a)", "[", "[a", "[]", "[b-a]", "*", "a**", "a{3,2}", "+a", "\\", "(.)\\1", "(?=a)", "(?!a)",
      "(?P<x>a)",
      "\\b", "a{1000}{1000}", String(repeating: "(", count: 100_000),
      String(repeating: "(", count: 40) + String(repeating: ")", count: 40),
      String(repeating: "a", count: 5000),
    ])
  func refused(text: String) { #expect(ModuleExpression(text) == nil) }

  @Test(
    "expressions that keep others busy for years end at once",
    arguments: ["(a+)+", "(a|aa)+", "(.*)*b", ".*.*.*.*.*.*.*.*b"])
  func slow(text: String) throws {
    let expression = try #require(ModuleExpression(text)), name = String(repeating: "a", count: 20_000) + "!"
    let clock = ContinuousClock()
    var isMatch = true
    #expect(clock.measure { isMatch = expression.matchesEnd(of: name) } < .seconds(5))
    #expect(!isMatch)
  }
}
