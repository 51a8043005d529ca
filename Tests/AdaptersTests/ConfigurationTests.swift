import Adapters
import TestSupport
import Testing

/// Proves what a PEFT configuration makes of the tensors beside it, and which of its fields are refused.
@Suite struct ConfigurationTests {
  private static let module = "base_model.model.layers.0.self_attn.q_proj"

  private func read(_ configuration: String, rank: Int = 2) throws -> Adapter {
    let folder = try TemporaryFolder()
    try writeAdapter(
      to: folder.file("adapter_model.safetensors"),
      tensors: [
        filler("\(Self.module).lora_B.weight", [6, rank]), filler("\(Self.module).lora_A.weight", [rank, 8]),
      ])
    try folder.write(Array(configuration.utf8), to: "adapter_config.json")
    return try Adapter(path: folder.path)
  }

  @Test(
    "alpha, rank and their patterns give the scale",
    arguments: [
      ("{\"r\":2,\"lora_alpha\":8}", 4.0), ("{\"r\":2}", 1),
      ("{\"r\":2,\"lora_alpha\":8,\"use_rslora\":true}", 8 / 2.0.squareRoot()),
      ("{\"r\":2,\"lora_alpha\":8,\"alpha_pattern\":{\"q_proj\":3}}", 1.5),
      ("{\"r\":2,\"lora_alpha\":8,\"alpha_pattern\":{\"k_proj\":3}}", 4),
      ("{\"r\":2,\"lora_alpha\":8,\"alpha_pattern\":{\"layers.0.self_attn.q_proj\":3}}", 1.5),
      ("{\"r\":2,\"lora_alpha\":8,\"alpha_pattern\":{\"^layers.0.self_attn.q_proj\":3}}", 1.5),
      ("{\"r\":2,\"lora_alpha\":8,\"alpha_pattern\":{\"^self_attn.q_proj\":3}}", 4),
      ("{\"r\":2,\"lora_alpha\":8,\"alpha_pattern\":{\"layers\\\\.[0-3]\\\\..*\":3}}", 1.5),
      ("{\"r\":2,\"lora_alpha\":8,\"alpha_pattern\":{\"v_proj\":1,\".*q_proj\":3,\"q_proj\":5}}", 1.5),
      ("{\"r\":2,\"lora_alpha\":8,\"alpha_pattern\":{\"v_proj\":1,\"q_proj\":5,\".*q_proj\":3}}", 2.5),
      ("{\"r\":2,\"lora_alpha\":8,\"alpha_pattern\":{\"proj\":3}}", 4),
    ])
  func scale(configuration: String, scale: Double) throws {
    let adapter = try read(configuration)
    #expect(adapter.problems.isEmpty)
    #expect(abs(adapter.targets[0].scale - scale) <= 1e-15 * scale)
  }

  @Test("a configured rank that the tensors do not have is noticed, a pattern's too")
  func rank() throws {
    let message = "\(Self.module): rank: the configuration says 4, the tensors have 2"
    #expect(try read("{\"r\":4}").problems.map(\.description) == [message])
    #expect(try read("{\"r\":2,\"rank_pattern\":{\"q_proj\":4}}").problems.map(\.description) == [message])
    #expect(try read("{\"r\":4,\"rank_pattern\":{\"q_proj\":2}}").problems.isEmpty)
    #expect(try !read("{\"r\":4}").problems[0].isFatal)
  }

  @Test(
    "numbers beyond all reason are no trouble",
    arguments: ["1e300", "-1e300", "9223372036854775807", "0.5", "\"8\"", "null", "{}"])
  func oddNumbers(number: String) throws {
    #expect(try read("{\"r\":\(number)}").targets.count == 1)
    #expect(try read("{\"r\":2,\"rank_pattern\":{\"q_proj\":\(number)}}").targets.count == 1)
  }

  @Test(
    "settings that no delta can honour are refused by name",
    arguments: [
      ("layer_replication", "[[0,2],[1,3]]"), ("use_qalora", "true"),
      ("alora_invocation_tokens", "[1,2]"),
      ("arrow_config", "{\"k\":1}"),
      ("megatron_config", "{\"k\":1}"),
    ])
  func refused(field: String, value: String) throws {
    let adapter = try read("{\"r\":2,\"\(field)\":\(value)}")
    #expect(
      adapter.problems.map(\.description) == [
        "adapter_config.json: \(field): no delta can be computed with this setting"
      ])
    #expect(throws: AdapterError.self) { try adapter.requireWorkable(allowingUnknown: true) }
    for off in ["null", "false", "[]", "{}"] { #expect(try read("{\"r\":2,\"\(field)\":\(off)}").problems.isEmpty) }
  }

  @Test(
    "a configuration of another algorithm than the tensors' is refused",
    arguments: [
      ("\"peft_type\":\"LOHA\"", Algorithm.loha), ("\"peft_type\":\"VERA\"", .vera),
      ("\"peft_type\":\"FOURIERFT\"", .fourierft), ("\"trainable_token_indices\":[5]", .tokenAdapter),
    ])
  func algorithms(field: String, algorithm: Algorithm) throws {
    let adapter = try read("{\"r\":2,\(field)}")
    #expect(adapter.unsupported.map(\.algorithm) == [algorithm] && adapter.targets.isEmpty)
  }

  @Test("lengths that the configuration speaks of must be there")
  func lengths() throws {
    #expect(
      try read("{\"r\":2,\"use_dora\":true}").problems.map(\.description).contains {
        $0.hasSuffix("factors: expected lora_magnitude_vector, found none; hint: the file is incomplete")
      })
  }

  @Test("a method that is not known is refused by name")
  func unknownMethod() throws {
    let adapter = try read("{\"r\":2,\"peft_type\":\"ODDLORA\"}")
    #expect(throws: AdapterError.self) { try adapter.requireWorkable(allowingUnknown: true) }
    #expect(adapter.problems.contains { $0.kind == .refusedConfiguration(field: "peft_type ODDLORA") })
  }

  @Test("target_parameters make LoRA's factors those of experts, or of the one matrix that they name")
  func parameters() throws {
    let experts = try read("{\"r\":1,\"target_parameters\":[\"experts\"]}")
    #expect(experts.dependents.map(\.algorithm) == [.expertLora] && experts.targets.isEmpty)
    let matrix = try read("{\"r\":2,\"target_parameters\":[\"experts\"]}")
    #expect(matrix.dependents.isEmpty && matrix.targets[0].key.path.hasSuffix("_experts"))
    let other = try read("{\"r\":1,\"target_parameters\":[\"other.experts\"]}")
    #expect(other.dependents.isEmpty && other.targets.count == 1)
  }

  @Test(
    "an initialisation that changed the base is noticed",
    arguments: ["pissa", "pissa_niter_16", "OLoRA", "corda", "loftq", "lora_ga"])
  func changedBase(method: String) throws {
    let adapter = try read("{\"r\":2,\"init_lora_weights\":\"\(method)\"}")
    let message =
      "initialised by \(method.lowercased()), which changes the base: right only on that base, unless the trainer "
      + "converted it on saving"
    #expect(adapter.problems.map(\.description) == [message] && !adapter.problems[0].isFatal)
  }

  @Test(
    "an initialisation that leaves the base alone is not",
    arguments: ["true", "false", "\"gaussian\"", "\"eva\"", "\"orthogonal\"", "\"mica\""])
  func sameBase(method: String) throws {
    #expect(try read("{\"r\":2,\"init_lora_weights\":\(method)}").problems.isEmpty)
  }

  @Test("fan_in_fan_out turns the delta over")
  func transposed() throws {
    let adapter = try read("{\"r\":2,\"fan_in_fan_out\":true}")
    #expect(adapter.targets[0].isTransposed && adapter.targets[0].shape == [8, 6])
    #expect(adapter.targets[0].rows == 6 && adapter.targets[0].columns == 8)
  }

  @Test(
    "fields of another kind than the deltas need are refused by name, not passed over",
    arguments: [
      ("\"lora_alpha\":\"8\"", "lora_alpha: expected a number, found \"8\""),
      ("\"lora_alpha\":[8]", "lora_alpha: expected a number, found [8]"),
      ("\"use_rslora\":\"yes\"", "use_rslora: expected true or false, found \"yes\""),
      ("\"fan_in_fan_out\":1", "fan_in_fan_out: expected true or false, found 1"),
      ("\"use_dora\":\"false\"", "use_dora: expected true or false, found \"false\""),
      ("\"peft_type\":1", "peft_type: expected a text, found 1"),
      ("\"alpha_pattern\":[]", "alpha_pattern: expected numbers, found []"),
      ("\"alpha_pattern\":{\"q_proj\":\"3\"}", "alpha_pattern: expected numbers, found {\"q_proj\":\"3\"}"),
      ("\"rank_pattern\":[]", "rank_pattern: expected an object, found []"),
      (
        "\"alpha_pattern\":{\"q_proj[\":3}",
        "alpha_pattern: expected a few regular expressions without references, found \"q_proj[\""
      ), ("\"lora_alpha\":8,\"lora_alpha\":4", "expected each name once, found lora_alpha twice"),
    ])
  func kinds(field: String, message: String) throws {
    let error = #expect(throws: AdapterError.self) { try read("{\"r\":2,\(field)}") }
    #expect(
      error.map { String(describing: $0).hasSuffix(": adapter_config.json: \(message)") } ?? false, "\(error as Any)")
  }

  @Test("what is null is not there")
  func nothing() throws {
    let fields = [
      "lora_alpha", "use_rslora", "fan_in_fan_out", "use_dora", "peft_type", "alpha_pattern", "rank_pattern",
    ]
    let adapter = try read("{\(fields.map { "\"\($0)\":null" }.joined(separator: ","))}")
    #expect(adapter.problems.isEmpty && adapter.targets[0].scale == 1 && !adapter.targets[0].isTransposed)
  }

  @Test("a configuration that is no JSON object is refused", arguments: ["", "[]", "{\"r\":", "not json", "{} {}"])
  func malformed(text: String) throws {
    let folder = try TemporaryFolder()
    try writeAdapter(to: folder.file("adapter_model.safetensors"), tensors: ProblemTests.target("x"))
    try folder.write(Array(text.utf8), to: "adapter_config.json")
    let error = #expect(throws: AdapterError.self) { try Adapter(path: folder.path) }
    #expect(error.map { String(describing: $0) } == "\(folder.path): adapter_config.json: expected a JSON object")
  }
}
