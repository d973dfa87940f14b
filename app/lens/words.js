// Numbers with their units, as app/words.py writes them.
// So many decimals, halves to the even digit as Python has it, with commas between thousands.
function fixed(x, digits) {
  const whole = x * 10 ** digits
  const half = Number.isInteger(x * 2 ** (digits + 1)) && Math.abs(whole % 1) === 0.5
  const [before, after] = (half ? 2 * Math.round(whole / 2) / 10 ** digits : x).toFixed(digits).split(".")
  return [before.replace(/\B(?=(\d{3})+$)/g, ","), after].filter(Boolean).join(".")
}
const count = x => fixed(x, 0)
const minus = text => text.replace("-", "−")
const three = x => fixed(x, Math.abs(x) >= 100 ? 0 : Math.abs(x) >= 10 ? 1 : 2)
const share = (x, digits = 1) => `${fixed(100 * x, digits)} %`

function size(bytes) {
  if (Math.abs(bytes) >= 1e7) return `${three(bytes / 1e6)} MB`
  return Math.abs(bytes) >= 1e3 ? `${three(bytes / 1e3)} KB` : `${count(bytes)} B`
}

function smaller(now, before) {
  if (now === before || !now) return "the same size"
  return now < before ? `${fixed(before / now, before >= 1.1 * now ? 1 : 2)}× smaller` : `${fixed(now / before, 2)}× larger`
}

// How many decimals show a value of a range that reaches so far to about three digits, the same for all of them.
const decimals = most => Math.min(8, Math.max(0, 3 - Math.floor(Math.log10(most || 1))))
const value = (x, most) => minus(fixed(x, decimals(most)))
const decibels = x => x === Infinity ? "exact" : `${minus(fixed(x, 1))} dB`
const relative = sqnr => 10 ** (-sqnr / 20)
const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`
