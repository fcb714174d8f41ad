/** One thing that was told to somebody, or asked by somebody, while a store was recorded. */
export type Marker =
  | {
      readonly kind: "sent";
      readonly coordinationId: string;
      readonly writer: number;
      readonly first: number;
      readonly count: number;
      readonly isAtomic: boolean;
    }
  | {
      readonly kind: "acknowledged";
      readonly coordinationId: string;
      readonly writer: number;
      readonly first: number;
      readonly sequences: readonly number[];
    }
  | {
      readonly kind: "shown";
      readonly coordinationId: string;
      readonly after: number;
      readonly through: number;
      readonly signals: readonly (readonly [sequence: number, signalId: string, requestId: string])[];
    };
