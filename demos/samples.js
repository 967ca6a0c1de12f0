// The sample pictures in samples/, made by scripts/dev/make_samples.py; samples/README.md has their sources and
// licences.

/** The classes of CIFAR-10, in the order of the data set. */
export const CLASSES = ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck'];
const PER_CLASS = 3;

/**
 * @typedef {object} Sample
 * @property {string} file
 * @property {string} name for people
 * @property {string | null} truth the class it belongs to, null if CIFAR-10 has none
 * @property {boolean} photo a photograph, not one of CIFAR-10's test pictures
 */

/** @type {{ title: string, items: Sample[] }[]} */
export const groups = CLASSES.map((name) => ({
  title: name,
  items: Array.from({ length: PER_CLASS }, (_, i) => ({
    file: `${name}_${i + 1}.png`,
    name: `${name} ${i + 1}`,
    truth: name,
    photo: false,
  })),
}));

/** @type {Sample[]} */
export const photos = [
  { file: 'photo_cat.jpg', name: 'cat, a photograph', truth: 'cat', photo: true },
  { file: 'photo_astronaut.jpg', name: 'astronaut', truth: null, photo: true },
  { file: 'photo_coffee.jpg', name: 'cup of coffee', truth: null, photo: true },
  { file: 'photo_rocket.jpg', name: 'rocket', truth: null, photo: true },
];
