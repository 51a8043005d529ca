/// The dialect in which an adapter spells its targets and factors.
public enum AdapterFormat: String, Sendable, CaseIterable {
  /// `lora_unet_down_blocks_0_….lora_down.weight` with an alpha tensor: kohya, LyCORIS, OneTrainer, musubi.
  case kohya
  /// `unet.down_blocks.0.….lora_A.weight` and its older spellings.
  case diffusers
  /// A folder with `adapter_config.json`, or names that begin with `base_model.model.`.
  case peft
  /// The base checkpoint's own names, with or without `diffusion_model.` before them: ComfyUI, diffusion-pipe, fal.
  case native
  /// `unet:0:up`, or a pickled list: cloneofsimo/lora of 2022.
  case cloneofsimo
  /// `double_blocks.0.processor.qkv_lora1.down.weight`: XLabs Flux.
  case xlabs
}

extension AdapterFormat {
  /// The dialect of adapters that nothing says another one for: it has names for the most modules, and most programs read it.
  package static let usual = AdapterFormat.kohya

  package var dialect: any Dialect {
    switch self {
    case .kohya: KohyaDialect()
    case .diffusers: DiffusersDialect()
    case .peft: PEFTDialect()
    case .native: NativeDialect()
    case .cloneofsimo: CloneofsimoDialect()
    case .xlabs: XLabsDialect()
    }
  }

  /// From the surest signs to the weakest: a file without any is in the base's own names.
  static let reading: [AdapterFormat] = [.cloneofsimo, .xlabs, .peft, .native, .kohya, .diffusers]

  /// The dialect of an adapter.
  static func spoken(in modules: [String], hasConfiguration: Bool) -> AdapterFormat {
    reading.first { $0.dialect.isSpoken(in: modules, hasConfiguration: hasConfiguration) } ?? .native
  }
}

/// How an adapter changes a target. The last ones are only recognised.
public enum Algorithm: String, Sendable {
  case lora, dora, loha, lokr, glora, full, norm, oft, boft, ia3
  case tlora = "t-lora"
  case adalora, kasa, vera, embedding, bias
  case expertLora = "expert-lora"
  case bdlora = "bd-lora"
  case hra, miss, delora, gralora, hira, road, shira, supertuning, c3a, randlora, pvera, tinylora, beft
  case vblora = "vb-lora"
  case rotaryLoRA = "lora with rows in llama.cpp's order"
  /// PEFT's, which is another one than LyCORIS'.
  case peftGLoRA = "glora of PEFT"
  case sparseBias = "sparse-bias"
  case controlLora = "control-lora"
  case tokenAdapter = "trainable-tokens"
  case reshape = "reshape-weight"
  case fourierft, waveft, unilora, adamss, psoft, osf, frod, deft, peanut, lily, shadow, poly, xlora
  case promptTuning = "prompt tuning"
  case adaptionPrompt = "adaption prompt"
  /// PEFT's factors for the output of torch's attention, whose product PEFT adds twice.
  case attentionOutput = "lora of nn.MultiheadAttention.out_proj"
}
