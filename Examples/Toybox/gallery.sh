#!/usr/bin/env bash
# Renders every picture of Examples/Gallery.md anew, and writes that page.
#
#   bash Examples/Toybox/gallery.sh              (LATHE=PROGRAM takes that one instead of building it)
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ -z "${LATHE:-}" ]; then
  source Tests/prepare.sh
  require_swift
  install_libraries
  swift build -c release --product lathe
  LATHE=$(swift build -c release --show-bin-path)/lathe
fi
lathe=$(realpath "$LATHE")
source Tests/prepare.sh
prepare_interop_python

# Commands run where they can be read: paths in them are relative to Examples. What is not a picture goes elsewhere.
cd Examples
work=$(mktemp -d "${TMPDIR:-/tmp}/lathe-gallery.XXXXXX")
trap 'rm -rf "$work"' EXIT
# Others are another page's.
mkdir -p Gallery
find Gallery -name '*.png' ! -name 'smaller-*' -delete
page=$work/Gallery.md

text() { printf '%s\n' "$@" '' >>"$page"; }

how=(--steps 20 --cfg 4 --sampler dpm++2m --seed 7)

# render NAME ARGUMENTS of lathe render: a picture, or a sheet of them.
render() {
  local name=$1
  shift
  "$lathe" render "$@" "${how[@]}" --sheet-only --quiet -o "Gallery/$name.png" >/dev/null
}

# picture NAME ALTERNATIVE-TEXT ARGUMENTS of lathe render: on the page, with its command.
picture() {
  local name=$1 alternative=$2
  shift 2
  render "$name" "$@"
  printf '![%s](Gallery/%s.png)\n\n' "$alternative" "$name" >>"$page"
  printf '```\nlathe render' >>"$page"
  printf ' %s' "$(quoted "$@" "${how[@]}" -o "$name.png")" >>"$page"
  printf '\n```\n\n' >>"$page"
}

# Arguments as they would be typed: those with spaces in quotes, temporary files by their names.
quoted() {
  local argument line=
  for argument in "$@"; do
    argument=${argument#"$work/"}
    case $argument in *[[:space:]]*) line+=" \"$argument\"" ;; *) line+=" $argument" ;; esac
  done
  printf '%s' "${line# }"
}

# line NAME < REPORT: what stands behind a name in a text report.
line() { sed -n "s/^ *$1  *\([^ ]*\).*/\1/p" | head -n 1; }

# column HEAD NAME NOTE ARGUMENTS of lathe render: a picture for the next table.
heads=() rules=() cells=() notes=()
column() {
  heads+=("$1") rules+=(---) cells+=("![$1](Gallery/$2.png)") notes+=("$3")
  local name=$2
  shift 3
  render "$name" "$@"
}

row() { printf '| %s ' "$@" >>"$page" && printf '|\n' >>"$page"; }

# The table of the columns so far.
table() {
  row "${heads[@]}"
  row "${rules[@]}"
  row "${cells[@]}"
  row "${notes[@]}"
  heads=() rules=() cells=() notes=()
}

model=Toybox/model
adapters=Toybox/adapters
scene="a red robot with a blue hat on the beach"
owl="a lumi owl waving in the snow"

text '# Gallery' \
  '' \
  'Pictures of [Toybox](Toybox/README.md), the small model that Lathe brings along, each with the command that made it.' \
  'Run the commands in this folder; `bash Toybox/gallery.sh` makes all of them, and this page, anew.'

text '## The model'
picture base "scenes by the base model" $model --prompts Toybox/scenes.txt --batch 4

text '## A character that the model does not know' \
  '' \
  'Lumi the owl, from nothing to more than enough. The star on the chest comes last.'
picture lumi "the owl at growing strengths" $model $adapters/lumi.safetensors --sweep 0,0.3,0.5,0.8,1,1.2 \
  --prompt "a lumi owl in a meadow" --prompt "a lumi owl with a yellow crown waving in the snow"

text '## Styles, one at a time'
for style in sketch popart glitter neon blueprint sepia-r64 fireflies; do
  file=$adapters/$style.safetensors
  [ -e "$file" ] || file=$adapters/$style
  picture "$style" "$style at growing strengths" $model "$file" --sweep 0,0.3,0.5,0.8,1 \
    --prompt "$scene" --prompt "a yellow cat waving under the night sky"
done

stack=("$adapters/lumi.safetensors@1" "$adapters/glitter.safetensors@0.5" "$adapters/sketch.safetensors@0.3"
  "$adapters/popart.safetensors@0.2" "$adapters/neon@0.2" "$adapters/sepia-r64.safetensors@0.2")
text '## Six at once'
picture stack "a stack of six adapters" $model "${stack[@]}" --prompt "$owl" --batch 4

text '## The same adapter, smaller and smaller' \
  '' \
  'An adapter trained with rank 64 whose effect has a much lower rank, cut to a share of its bytes. *Error* is the relative' \
  'error of its effect on the weights, *prediction* what the difference makes to what the UNet predicts.'
whole=$adapters/sepia-r64.safetensors
bytes=$(stat -c %s $whole)
column whole resized-100 "error 0" $model $whole --prompt "$scene"
for share in 50 25 10 5; do
  small=$work/sepia-$share.safetensors
  error=$("$lathe" resize $whole -o "$small" --size $((bytes * share / 100)) --quiet | line "relative error")
  probe=$("$lathe" compare $whole "$small" --base $model --probe --prompt "$scene" --probe-size 128x128 --quiet |
    sed '1,/^noise prediction/d' | line "relative error")
  column "$share %" resized-$share "error $error, prediction $probe" $model "$small" --prompt "$scene"
done
table
printf '\n```\nlathe resize %s -o sepia-10.safetensors --size %d\nlathe render %s\n```\n\n' $whole $((bytes / 10)) \
  "$(quoted $model sepia-10.safetensors --prompt "$scene" "${how[@]}" -o resized-10.png)" >>"$page"

text '## A tenth of the bytes, by what is looked at' \
  '' \
  'A style with convolutions, cut to a tenth of its bytes in several ways. *Error* is that of its effect on the weights; *latents* that' \
  'of where pictures end, as a share of the effect, over four scenes that no cut had seen.'
whole=$adapters/popart.safetensors
printf '%s\n' "a tiny orange monster with a white scarf on the beach" "a blue ghost with a red balloon in the city" \
  "a green knight waving in the snow" "a purple cat with yellow glasses under the night sky" >"$work/unseen.txt"
unseen="a green knight waving in the snow"
column whole weighed-none "error 0, latents 0" $model $whole --prompt "$unseen"
# cut HEAD NAME OPTIONS of lathe resize
cut() {
  local head=$1 name=$2 small=$work/$2.safetensors error latents
  shift 2
  error=$("$lathe" resize $whole -o "$small" --size 10% --quiet "$@" | line "relative error")
  latents=$("$lathe" audit $model --before $whole --after "$small" --prompts "$work/unseen.txt" --strengths 1 --steps 8 \
    --cfg 4 --quiet --json -o "$work/audit" --force | sed 's/.*"name":"latents.effect_error"[^}]*"value":\([0-9.]*\).*/\1/') || true
  column "$head" "$name" "error $error, latents ${latents:0:5}" $model "$small" --prompt "$unseen"
}
drawn=(--base $model --prompts Toybox/scenes.txt --cfg 4)
cut "by size" weighed-size
cut "by the base's weights" weighed-base --base $model --weigh base
cut "by pictures" weighed-pictures --weigh pictures "${drawn[@]}"
cut "by pictures, 8 bits" weighed-auto --weigh pictures --dtype auto "${drawn[@]}"
table
printf '\n```\nlathe resize %s -o popart-10.safetensors --size 10%% --weigh pictures --dtype auto %s\n```\n\n' $whole \
  "${drawn[*]}" >>"$page"

text '## Stacked, merged, baked' \
  '' \
  'Six adapters one by one; the same six as one file; and the same six added to the weights of the model, in four number' \
  'formats. *Survival* is the share of their effect that is left after the rounding.'
column stacked stacked "" $model "${stack[@]}" --prompt "$owl"
"$lathe" merge "${stack[@]}" -o "$work/six.safetensors" --quiet >/dev/null
column merged merged "" $model "$work/six.safetensors" --prompt "$owl"
for dtype in f32 f16 bf16 f8_e4m3; do
  survival=$("$lathe" bake $model "${stack[@]}" -o "$work/baked-$dtype" --dtype $dtype --quiet | line survival)
  column "baked, ${dtype%_e4m3}" baked-$dtype "survival $survival %" "$work/baked-$dtype" --prompt "$owl"
done
table
printf '\n```\nlathe merge %s\nlathe bake %s\nlathe render baked-f8 %s\n```\n' \
  "$(quoted "${stack[@]}" -o six.safetensors)" "$(quoted $model "${stack[@]}" -o baked-f8 --dtype f8_e4m3)" \
  "$(quoted --prompt "$owl" "${how[@]}" -o baked-f8.png)" >>"$page"

text '' \
  '## Baked into quantised files' \
  '' \
  'A style at 0.6, baked into Toybox in the formats in which people keep large models. Scales and steps of such files stay as they' \
  'are, and only codes move. The nearest code is mostly the old one where steps are coarse; shaped rounding, which is usual there,' \
  'chooses among the two next to each number so that errors leave out what the adapter reads. *Latents* is the error of where the' \
  'picture ends beside the same adapter on the same file at run time, as a share of what it does there. The fp8 file and the wide' \
  'one that all others come from are made by `Tests/Cases/quantised_bases.py`.'
"$python" ../Tests/Cases/quantised_bases.py "$work"
for dtype in f16 q8_0 q4_k; do
  "$lathe" bake "$work/wide.gguf" "$adapters/blueprint.safetensors@0" -o "$work/$dtype.gguf" --dtype $dtype --quiet >/dev/null
done
style=$adapters/blueprint.safetensors@0.6
small=(--prompt "$scene" --size 128x128)
column "at run time" into-f16-live "f16" "$work/f16.gguf" "$style" "${small[@]}"
# baked_into HEAD FILE ROUNDING
baked_into() {
  local head=$1 base=$2 rounding=$3 name out survival latents
  name=into-${base%%.*}-$rounding out=$work/into-$rounding.${base##*.}
  survival=$("$lathe" bake "$work/$base" "$style" -o "$out" --rounding "$rounding" --quiet --force | line survival)
  latents=$("$lathe" audit "$work/$base" --before "$style" --after "$out" --prompt "$scene" --strengths 1 --steps 8 --cfg 4 \
    --quiet --json -o "$work/audit" --force | sed 's/.*"name":"latents.effect_error"[^}]*"value":\([0-9.]*\).*/\1/') || true
  column "$head" "$name" "survival $survival %, latents ${latents:0:4}" "$out" "${small[@]}"
}
baked_into "f16" f16.gguf nearest
baked_into "fp8, nearest" fp8.safetensors nearest
baked_into "fp8, shaped" fp8.safetensors shaped
baked_into "Q8_0, nearest" q8_0.gguf nearest
baked_into "Q8_0, shaped" q8_0.gguf shaped
baked_into "Q4_K, nearest" q4_k.gguf nearest
baked_into "Q4_K, shaped" q4_k.gguf shaped
table
printf '\n```\nlathe bake %s\nlathe render %s\n```\n' \
  "$(quoted q4_k.gguf "$style" -o into-q4_k.gguf)" "$(quoted into-q4_k.gguf "${small[@]}" "${how[@]}" -o into-q4_k.png)" \
  >>"$page"

mv "$page" Gallery.md
echo "Examples/Gallery.md and $(ls Gallery | wc -l) pictures are new."
