import Foundation
import TestSupport
import Testing

/// Calls and files from which no picture can be made: one clear line, the right exit code, no file.
@Suite struct RenderFailureTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var testDescription: String
    /// After `render`; `DIR` is the folder of the files that `prepare` makes, `SD1` the tiny model.
    var arguments: [String]
    var status: Int32
    /// The message, or its beginning.
    var message: String

    init(_ name: String, _ arguments: [String], _ status: Int32, _ message: String) {
      (testDescription, self.arguments, self.status, self.message) = (name, arguments, status, message)
    }
  }

  private static let prompt = ["--prompt", "a cat", "--size", "64x64"]

  static let cases = [
    Case("no base", ["DIR/none"] + prompt, 66, "DIR/none: no such file\n"),
    Case(
      "an adapter as the base", ["DIR/style.safetensors"] + prompt, 65,
      "DIR/style.safetensors: expected a base checkpoint, found an adapter; hint: lathe render BASE ADAPTER@0.8 --prompt "
        + "TEXT -o OUT.png\n"),
    Case("no UNet", ["SD1/vae"] + prompt, 65, "SD1/vae: expected a UNet, found none; hint: "),
    Case("no text encoder", ["SD1/unet"] + prompt, 65, "SD1/unet: expected a CLIP text encoder"),
    Case("no adapter", ["SD1", "DIR/none.safetensors"] + prompt, 66, "DIR/none.safetensors: no such file\n"),
    Case(
      "a checkpoint as an adapter", ["SD1", "SD1/unet/diffusion_pytorch_model.safetensors"] + prompt, 65,
      "SD1/unet/diffusion_pytorch_model.safetensors: expected an adapter, found "),
    Case("no prompt", ["SD1"], 64, "expected --prompt or --prompts, found neither\n"),
    Case("no prompt file", ["SD1", "--prompts", "DIR/none"], 66, "DIR/none: no such file\n"),
    Case(
      "a prompt file of comments", ["SD1", "--prompts", "DIR/comments.txt"], 65,
      "DIR/comments.txt: prompts: expected at least one line that is no comment, found none\n"),
    Case(
      "a prompt file that is no text", ["SD1", "--prompts", "DIR/bytes"], 65,
      "DIR/bytes: prompts: expected UTF-8 text, found other bytes\n"),
    Case(
      "prompt editing", ["SD1", "--prompt", "a [cat:dog:0.5]"], 64,
      "prompt: [cat:dog:0.5] at character 3: prompt editing is not supported; hint: "),
    Case(
      "prompt editing in the negative", ["SD1", "--prompt", "a cat", "--negative", "[a|b]"], 64,
      "prompt: [a|b] at character 1: alternation is not supported; hint: "),
    Case(
      "a tag in the negative", ["SD1", "--prompt", "a cat", "--negative", "<lora:style:1>"], 64,
      "--negative: expected no tags, found some; hint: adapters belong to the prompt\n"),
    Case(
      "another kind of tag", ["SD1", "--prompt", "<hypernet:x:1>"], 64,
      "prompt: <hypernet:x:1>: kind of tag: expected lora or lyco, found hypernet; hint: "),
    Case(
      "a size", ["SD1", "--prompt", "a cat", "--size", "100x64"], 64, "--size: expected multiples of 8, found 100x64\n"),
    Case(
      "half a size", ["SD1", "--prompt", "a cat", "--size", "64"], 64, "The value '64' is invalid for '--size <WxH>'\n"),
    Case("no steps", ["SD1", "--steps", "0"] + prompt, 64, "euler: steps: expected 1 to 1000, found 0\n"),
    Case(
      "too many steps for lcm", ["SD1", "--steps", "60", "--sampler", "lcm"] + prompt, 64,
      "lcm: steps: expected 1 to 50, found 60\n"),
    Case("eta", ["SD1", "--eta", "0.5"] + prompt, 64, "euler: eta: expected none, found one; hint: only ddim and tcd"),
    Case("cfg", ["SD1", "--cfg", "nan"] + prompt, 64, "--cfg: expected a number of at least 0, found nan\n"),
    Case(
      "clip skip", ["SD1", "--clip-skip", "9"] + prompt, 64, "--clip-skip: expected at most 3 for this model, found 9\n"
    ),
    Case(
      "seeds that do not fit", ["SD1", "--seed", "18446744073709551615", "--batch", "2"] + prompt, 64,
      "--seed: expected one that leaves room for 2 seeds, found 18446744073709551615\n"),
    Case(
      "pure noise and epsilon", ["SD1", "--zero-snr"] + prompt, 64,
      "--zero-snr: expected a model that predicts v, found epsilon; hint: --prediction v\n"),
    Case("denoise alone", ["SD1", "--denoise", "0.5"] + prompt, 64, "--denoise: expected --init beside it\n"),
    Case("no first picture", ["SD1", "--init", "DIR/none.png"] + prompt, 66, "DIR/none.png: no such file\n"),
    Case(
      "a first picture that is none", ["SD1", "--init", "DIR/comments.txt"] + prompt, 65,
      "DIR/comments.txt: content: expected a PNG picture, found "),
    Case("a grid of nothing", ["SD1", "--grid"] + prompt, 64, "--grid: expected an adapter, found none\n"),
    Case("a sweep of nothing", ["SD1", "--sweep", "0,1"] + prompt, 64, "--sweep: expected an adapter, found none\n"),
    Case(
      "a sweep that is none", ["SD1", "DIR/style.safetensors", "--sweep", "0,,1"] + prompt, 64,
      "The value '0,,1' is invalid for '--sweep <numbers>'\n"),
    Case(
      "block weights of another file", ["SD1", "--block-weights", "x=M00:1"] + prompt, 64,
      "--block-weights: expected one of the adapters, found x\n"),
    Case("no autoencoder", ["SD1", "--vae", "DIR/none"] + prompt, 66, "DIR/none: no such file\n"),
    Case(
      "an autoencoder of another reduction", ["SD1", "--vae", "SD1/../vae-two-levels/vae"] + prompt, 65,
      "SD1/../vae-two-levels/vae: autoencoder: expected 8 pixels for each latent one as the model has it, found 2\n"),
    Case(
      "a preview that is no TAESD", ["SD1", "--preview", "DIR/style.safetensors"] + prompt, 65,
      "DIR/style.safetensors: expected the tensor 1.weight of a TAESD decoder, found none; hint: "),
    Case(
      "a sheet too large", ["SD1", "--prompt", "a cat", "--size", "8192x8192", "--batch", "4"], 64,
      "4 pictures: expected a sheet of at most 134217728 pixels, found "),
    Case(
      "a strength far too large", ["SD1", "DIR/style.safetensors@1e30", "--steps", "1"] + prompt, 65,
      "SD1: step 1: the UNet's prediction: expected finite numbers, found 256 that are not; hint: "),
  ]

  @Test("what is wrong is explained with the command's usage, also where it is found only while the command runs")
  func usage() throws {
    let fixture = try RenderFixture()
    func errors(_ options: [String]) throws -> [Substring] {
      let run = try Tool.run(["render", RenderFixture.sd1, "--prompt", "a cat", "-o", fixture.out] + options)
      #expect(run.status == 64)
      return run.errors.split(separator: "\n")
    }
    // The one comes from the argument parser, the other from the command.
    let early = try errors(["--cfg=-1"]), late = try errors(["--size", "65x64"])
    #expect(late[0] == "Error: --size: expected multiples of 8, found 65x64")
    #expect(late[1].hasPrefix("Usage: lathe render ["))
    #expect(late[1...] == early[1...])
  }

  @Test("one line, the right exit code, nothing left", arguments: cases)
  func failure(_ item: Case) throws {
    let fixture = try RenderFixture()
    _ = try fixture.adapter()
    try fixture.folder.write(Array("# none\n\n".utf8), to: "comments.txt")
    try fixture.folder.write([0x61, 0xff, 0x0a], to: "bytes")
    let before = try fixture.folder.names
    func resolved(_ text: String) -> String {
      text.replacing("DIR", with: fixture.folder.path).replacing("SD1", with: RenderFixture.sd1)
    }
    let run = try Tool.run(["render"] + item.arguments.map(resolved) + ["-o", fixture.out])
    #expect(run.status == item.status, "\(run.errors)")
    let start = ["lathe: error: ", "Error: "].first { run.errors.hasPrefix($0) } ?? "?"
    #expect(run.errors.dropFirst(start.count).hasPrefix(resolved(item.message)), "\(run.errors)")
    // After a wrong call ArgumentParser shows the usage, too.
    #expect(start == "Error: " || run.errors.split(separator: "\n").count == 1)
    #expect(run.output.isEmpty)
    #expect(try fixture.folder.names == before)
  }

  @Test(
    "outputs",
    arguments: [("out.jpg", Int32(64), "-o: expected a name that ends in .png"), ("no/out.png", 73, "cannot create: ")])
  func output(name: String, status: Int32, message: String) throws {
    let fixture = try RenderFixture()
    let run = try fixture.render([], output: name)
    #expect(run.status == status && run.errors.contains(message))
    #expect(try fixture.folder.names.isEmpty)
  }
}
