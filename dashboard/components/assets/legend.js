export default function ({ data, parentElement }) {
  function pair(side, word) {
    const shown = make("span", "pair");
    shown.append(sign(side), make("span", "user", word));
    return shown;
  }
  const meaning = make("span", "meaning user", data.meaning);
  redraw(parentElement, [pair("positive", data.positive), pair("negative", data.negative), meaning]);
}
