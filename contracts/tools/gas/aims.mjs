// What is aimed at, by receipts, in a token of six decimals and in one of eighteen: at most so much gas. A figure that
// misses its aim has a ceiling of its own and a word on what the aim would cost: it may stay where it is, and not grow.
export const AIMS = [
  { name: "claim, each further job", aim: 11_700 },
  { name: "startJobs, each further job", aim: 11_000 },
  { name: "settle, each further job", aim: 17_000, where: "of one customer" },
  {
    name: "settle, each further job of another customer",
    aim: 17_000,
    ceiling: 21_100,
    why: "each customer's credit is a slot of its own: decision 23",
  },
  { name: "a job's life, with a transfer", aim: 110_000 },
  {
    name: "a job's life, from credit",
    aim: 80_000,
    ceiling: 87_600,
    why: "a closed job keeps its slot, and each order reads the provider's floor: decision 18 has the promise behind either",
  },
];

// Each aim's figures, in a token of six decimals and in one of eighteen.
export const figures = (market, name) => [market[name], market[`${name}, 18 decimals`]];

// What is wrong with figures, in a line for each that is above its aim or ceiling, or that nobody measured.
export function aboveAims(market) {
  return AIMS.flatMap(({ name, aim, ceiling, why }) => {
    const most = ceiling ?? aim;
    const bound = ceiling === undefined ? `the aim is ${aim}` : `the aim is ${aim}, missed because ${why}; its ceiling is ${ceiling}`;
    const found = (decimals, gas) => `${name}, ${decimals} decimals: ${gas ?? "not"} measured, and ${bound}`;
    const [six, eighteen] = figures(market, name);
    return [[6, six], [18, eighteen]].filter(([, gas]) => !(gas <= most)).map(([decimals, gas]) => found(decimals, gas));
  });
}
