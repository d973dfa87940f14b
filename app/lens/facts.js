// The views with their dials, and what is said of a setting: what it costs, in figures and for those who do not see the picture.
const VIEWS = { weights: weightsView, grid: gridView, spectrum: spectrumView, matrix: matrixView }
const DIALS = ["sparsity", "bits", "rank"]

// Size and error of a setting, each with its base; null where not known yet.
function costs(lens, name, i) {
  const { nbytes, sqnr } = lens.ladders[name]
  return [
    Number.isNaN(nbytes[i]) ? null : [size(nbytes[i]), `of ${size(lens.bytes)}, ${smaller(nbytes[i], lens.bytes)}`],
    Number.isNaN(sqnr[i]) ? null : [decibels(sqnr[i]), sqnr[i] === Infinity ? "nothing is lost" : `SQNR, relative error ${share(relative(sqnr[i]))}`],
  ]
}

function spoken(lens, name, i) {
  const own = Object.values(VIEWS).find(view => view.dials[0] === name)
  const told = [`${lens.ladders[name].texts[i]}${name === "bits" ? " bits" : ""}`]
  const facts = own.facts(lens, i)
  if (facts) told.push(`${own.own.toLowerCase()} ${facts[0]}, ${facts[1]}`)
  const [size_, error] = costs(lens, name, i)
  told.push(size_?.join(" ") ?? "size not known yet", error ? `error ${error.join(" ")}` : "error not known yet")
  return told.join("; ").replaceAll("|w|", "magnitude").replaceAll("≤", "up to").replaceAll("×", "times")
}

// How many settings of the dial on screen are not known yet.
function unknown(lens) {
  const { refused, values } = lens.ladders[lens.dial]
  if (refused) return 0
  return values.filter((_, i) => costs(lens, lens.dial, i).includes(null) || VIEWS[lens.view].facts(lens, i) === null).length
}
