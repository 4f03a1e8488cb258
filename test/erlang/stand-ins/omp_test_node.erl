%% The node of a test: reads lines `NUMBER EXPRESSION.` from its standard input, answers `= NUMBER ok|error TERM` for
%% each, ends with it.
-module(omp_test_node).

-export([start/0]).

start() ->
    logger:remove_handler(default),
    ok = logger:add_handler(default, logger_std_h, #{
        config => #{type => standard_error},
        filters => [{progress, {fun logger_filters:progress/2, stop}}],
        formatter => {logger_formatter, #{single_line => true, template => ["LOG ", level, " ", msg, "\n"]}}
    }),
    logger:set_primary_config(level, info),
    io:setopts([{binary, true}, {encoding, latin1}]),
    [ok = Module:start() || Module <- [emqx_hooks, emqx_broker, emqx_cm, emqx_retainer, omp_client]],
    ok = emqx_broker:start_forwarder(),
    io:format("ready~n"),
    read().

read() ->
    case io:get_line("") of
        Line when is_binary(Line) ->
            [Number, Expression] = binary:split(string:trim(Line), <<" ">>),
            spawn(fun() -> answer(Number, binary_to_list(Expression)) end),
            read();
        _ ->
            halt(0, [{flush, false}])
    end.

answer(Number, Expression) ->
    {Kind, Term} =
        try
            {ok, Tokens, _} = erl_scan:string(Expression),
            {ok, Parsed} = erl_parse:parse_exprs(Tokens),
            {value, Value, _} = erl_eval:exprs(Parsed, erl_eval:new_bindings()),
            {ok, Value}
        catch
            Class:Reason:Stack -> {error, {Class, Reason, Stack}}
        end,
    io:put_chars(io_lib:format("= ~s ~s ~0p~n", [Number, Kind, Term])).
