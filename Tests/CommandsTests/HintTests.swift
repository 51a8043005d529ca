import Adapters
import Audit
import Baking
import Files
import Prompts
import Reports
import Testing

@testable import Commands

/// What the command line adds to messages of the rooms below.
@Suite struct HintTests {
  @Test("a hint is added, goes on from the room's own, or makes an option of what the message is about")
  func lines() {
    func line(_ error: any Error, _ expected: String) {
      #expect(error.line == expected)
      #expect(!"\(error)".contains("--"), "\(error)")
    }
    line(FileError(.exists, path: "a"), "a: exists already; hint: --force overwrites it")
    line(FileError(.missing, path: "a"), "a: no such file")
    line(
      AdapterError(.problem(AdapterProblem(.unknownTensor, target: "t")), path: "a"),
      "a: t: name: expected a known adapter tensor, found this one; hint: --allow-unknown leaves it out")
    line(
      AdapterError(.problem(AdapterProblem(.needsBase(.dora), target: "t")), path: "a"),
      "a: t: dora depends on the base weight: expected a base, found none; hint: give the checkpoint with --base")
    line(
      BakingError(.wrongFamily(sentence: "this is another"), path: "a"),
      "a: this is another; hint: lathe check shows what fits")
    line(
      BakingError(.notFinite(weight: "w", count: 3, dtype: "F16", cause: .sum), path: "a"),
      "a: w: expected finite F16 numbers, found 3 NaN or infinite; the sum is too large for the format; hint: "
        + "--dtype bf16 or f32")
    line(
      BakingError(.notFinite(weight: "w", count: 3, dtype: "F16", cause: .base), path: "a"),
      "a: w: expected finite F16 numbers, found 3 NaN or infinite; the base itself is not finite there")
    line(
      BakingError(.needsGGUFOutput("q8_0"), path: "a"),
      "a: --dtype q8_0: expected an output of GGUF, found safetensors; hint: end its name in .gguf")
    line(
      BakingError(.noUndo(base: "b", kind: "a pickle"), path: "a"),
      "a: --undo: expected a base of safetensors, or of GGUF with an output of GGUF, found a pickle, b, which could not be restored bit for bit; hint: keep "
        + "the base, or bake with every adapter at strength 0 first, which makes safetensors of it, and bake into that")
    line(
      AuditError(.otherAudit(reason: "steps"), path: "a"),
      "a: steps; hint: compare with an audit of the same base and pictures, or leave out --against")
    line(
      AuditError(.noneGoodEnough(limit: "ssim>=0.9", best: 0.5, dtype: "f16"), path: "a"),
      "a: --until ssim>=0.9: expected the whole adapter to keep the limit, found 0.5 with all its components in f16; hint: "
        + "a looser limit, or --dtype f32")
    line(
      AuditBatchError(.busy, path: "a"),
      "a: another run works on this shard; hint: --shard divides the rows among several")
    line(
      PromptError(.tagKind("hypernet", tag: "<hypernet:a>")),
      "prompt: <hypernet:a>: kind of tag: expected lora or lyco, found hypernet; hint: --prompt-style plain takes tags as "
        + "text")
    line(
      PromptError(.construct(.editing, text: "[a:b:3]", position: 1)),
      "prompt: [a:b:3] at character 1: prompt editing is not supported; hint: write \\[ and \\] for brackets that are "
        + "meant as text, or use --prompt-style plain")
  }

  private struct Other: Error, CustomStringConvertible { let description = "a: something" }

  @Test("an error without hints is told as it is")
  func other() {
    #expect(Other().line == "a: something")
  }

  @Test("problems are grouped with their hints")
  func problems() {
    let problems = ["t", "u"].map { AdapterProblem(.unknownTensor, target: $0) } + [AdapterProblem(.loadsNowhere)]
    #expect(
      AdapterProblem.grouped(problems, hint: \.hint) == [
        "t and 1 more: name: expected a known adapter tensor, found this one; hint: --allow-unknown leaves it out",
        "names: expected some that a current loader reads, found none; hint: lathe convert --to kohya",
      ])
    #expect(
      AdapterProblem.Kind.loadersDisagree(scales: "", needsOtherNames: true).hint
        == "lathe convert --to kohya --normalise")
  }

  @Test("the command line has words of its own for what an audit advises")
  func advice() {
    for measure in [AuditMeasure.weightError, .worstBlock, .scale, .lost, .unplaced] {
      #expect(AuditWords.commandLine.advice(measure) != measure.advice, "\(measure.name)")
    }
    #expect(AuditWords.commandLine.advice(.added) == AuditMeasure.added.advice)
    #expect(AuditWords.commandLine.remedy(.unplaced) == "lathe check names them")
  }
}
